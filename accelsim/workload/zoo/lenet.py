"""LeNet-5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accelsim.workload.zoo.builder import NetworkBuilder

if TYPE_CHECKING:
    from accelsim.workload.graph import LayerGraph


def lenet5() -> LayerGraph:
    """LeNet-5 for 32 x 32 grey images.

    LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 86(11), 1998, figure 2 and
    section II.B. As in all later implementations C3 sees all maps of S2, the subsampling has no parameters and the
    output layer is fully connected.
    """
    net = NetworkBuilder(1, 32)
    made = net.activation("c1.tanh", net.conv("c1", "image", 6, 5, padding=0), "tanh")
    made = net.pool("s2", made, 2, function="average")
    made = net.activation("c3.tanh", net.conv("c3", made, 16, 5, padding=0), "tanh")
    made = net.pool("s4", made, 2, function="average")
    made = net.activation("c5.tanh", net.conv("c5", made, 120, 5, padding=0), "tanh")
    made = net.activation("f6.tanh", net.gemm("f6", made, 84), "tanh")
    net.softmax("softmax", net.gemm("output", made, 10))
    return net.build("lenet5", "LeNet-5, 32x32 grey digits (LeCun et al. 1998)")
