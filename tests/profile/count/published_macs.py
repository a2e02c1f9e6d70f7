"""MACs of nine published networks, from the tables of their papers: nothing here is read from a file.

Where ONNX's file of a network departs from its paper, the function says how and follows the file. All take
one image of 224 x 224 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise


def resnet50() -> int:
    """He et al. 2015, table 1, the stride in a block's 3 x 3 convolution."""
    macs = 112 * 112 * 64 * 3 * 49
    channels, size = 64, 56
    for stage, blocks in enumerate((3, 4, 6, 3)):
        width, out = 64 << stage, 256 << stage
        for block in range(blocks):
            before, size = size, (size // 2 if stage and not block else size)
            macs += before**2 * channels * width  # 1 x 1, before the stride
            macs += size**2 * width * width * 9
            macs += size**2 * width * out
            if not block:
                macs += size**2 * channels * out  # the projection of the shortcut
            channels = out
    return macs + 2048 * 1000


def vgg19() -> int:
    """Simonyan and Zisserman 2014, configuration E."""
    widths = [3] + 2 * [64] + 2 * [128] + 4 * [256] + 4 * [512] + 4 * [512]
    sizes = 2 * [224] + 2 * [112] + 4 * [56] + 4 * [28] + 4 * [14]
    convolutions = sum(
        size**2 * before * after * 9 for size, (before, after) in zip(sizes, pairwise(widths), strict=True)
    )
    return convolutions + 512 * 7 * 7 * 4096 + 4096 * 4096 + 4096 * 1000


def alexnet() -> int:
    """Krizhevsky et al. 2012, in Caffe's form: layers 2, 4 and 5 in two groups.

    The file takes the paper's 224 pixels literally and without padding, which leaves 54, 26 and 12 positions
    where 227 pixels, the size that fits the paper's text, would leave 55, 27 and 13.
    """
    convolutions = (
        54**2 * 96 * (3 * 11 * 11),  # (224 - 11) // 4 + 1
        26**2 * 256 * (96 // 2 * 5 * 5),
        12**2 * 384 * (256 * 3 * 3),
        12**2 * 384 * (384 // 2 * 3 * 3),
        12**2 * 256 * (384 // 2 * 3 * 3),
    )
    return sum(convolutions) + 256 * 6 * 6 * 4096 + 4096 * 4096 + 4096 * 1000


def zfnet512() -> int:
    """Zeiler and Fergus 2013, figure 3, in the model zoo's variant.

    Layers 3 to 5 have 512 maps each, not 384, 384 and 256; the second hidden layer 1024 units, not 4096. The
    strided layers are not padded: 109, 54, 25 and 12 positions, not 110, 55, 26 and 13.
    """
    convolutions = (
        109**2 * 96 * (3 * 7 * 7),  # (224 - 7) // 2 + 1; a pool of 3 by 2 leaves 54
        25**2 * 256 * (96 * 5 * 5),  # (54 - 5) // 2 + 1; a pool of 3 by 2 leaves 12
        12**2 * 512 * (256 * 3 * 3),
        2 * 12**2 * 512 * (512 * 3 * 3),  # a pool of 2 by 2 leaves 6
    )
    return sum(convolutions) + 512 * 6 * 6 * 4096 + 4096 * 1024 + 1024 * 1000


def squeezenet() -> int:
    """Iandola et al. 2016, version 1.1 of their model: 64 filters of 3 x 3 first, and earlier pools.

    Pools of 3 by 2 without padding: 111, 55, 27 and 13 positions.
    """
    fires = (
        (55, 16, 64), (55, 16, 64), (27, 32, 128), (27, 32, 128),
        (13, 48, 192), (13, 48, 192), (13, 64, 256), (13, 64, 256),
    )  # fmt: skip
    macs, channels = 111**2 * 64 * (3 * 9), 64
    for size, squeezed, expanded in fires:
        macs += size**2 * (channels * squeezed + squeezed * expanded * (1 + 9))
        channels = 2 * expanded  # a half by 1 x 1, a half by 3 x 3
    return macs + 13**2 * channels * 1000


def densenet121() -> int:
    """Huang et al. 2016, table 1: growth 32, bottlenecks of 128, half the channels kept between blocks."""
    macs, channels = 112**2 * 64 * (3 * 49), 64
    for size, layers in ((56, 6), (28, 12), (14, 24), (7, 16)):
        if size < 56:  # the transition, before its pool
            macs += (2 * size) ** 2 * channels * (channels // 2)
            channels //= 2
        for _ in range(layers):
            macs += size**2 * (channels * 128 + 128 * 32 * 9)
            channels += 32
    return macs + channels * 1000


def inception_v1() -> int:
    """Szegedy et al. 2014, table 1: GoogLeNet, without the classifiers that help training.

    The pools by 2 are not padded: 55, 27, 13 and 6 positions, not 56, 28, 14 and 7.
    """
    macs = 112**2 * 64 * (3 * 49) + 55**2 * (64 * 64 + 64 * 192 * 9)
    channels = 192
    modules = (  # positions; 1 x 1; 3 x 3 reduced, 3 x 3; 5 x 5 reduced, 5 x 5; behind the pool
        (27, 64, 96, 128, 16, 32, 32),
        (27, 128, 128, 192, 32, 96, 64),
        (13, 192, 96, 208, 16, 48, 64),
        (13, 160, 112, 224, 24, 64, 64),
        (13, 128, 128, 256, 24, 64, 64),
        (13, 112, 144, 288, 32, 64, 64),
        (13, 256, 160, 320, 32, 128, 128),
        (6, 256, 160, 320, 32, 128, 128),
        (6, 384, 192, 384, 48, 128, 128),
    )
    for size, one, reduce_3, three, reduce_5, five, pooled in modules:
        macs += size**2 * channels * (one + reduce_3 + reduce_5 + pooled)
        macs += size**2 * (reduce_3 * three * 9 + reduce_5 * five * 25)
        channels = one + three + five + pooled
    return macs + channels * 1000


def inception_v2() -> int:
    """Ioffe and Szegedy 2015, figure 5: two 3 x 3 convolutions instead of 5 x 5.

    The first layer is an ordinary convolution, where the paper's is separable.
    """
    macs = 112**2 * 64 * (3 * 49) + 56**2 * (64 * 64 + 64 * 192 * 9)
    modules = (  # positions, channels in; 1 x 1; 3 x 3 reduced, 3 x 3; two 3 x 3 reduced, each; pooled
        (28, 192, 64, 64, 64, 64, 96, 32),
        (28, 256, 64, 64, 96, 64, 96, 64),
        (14, 576, 224, 64, 96, 96, 128, 128),
        (14, 576, 192, 96, 128, 96, 128, 128),
        (14, 576, 160, 128, 160, 128, 160, 576 - 3 * 160),
        (14, 576, 96, 128, 192, 160, 192, 576 - 96 - 2 * 192),
        (7, 1024, 352, 192, 320, 160, 224, 128),
        (7, 1024, 352, 192, 320, 192, 224, 128),
    )
    for size, channels, one, reduce_3, three, reduce_33, double, pooled in modules:
        macs += size**2 * channels * (one + reduce_3 + reduce_33 + pooled)
        macs += size**2 * 9 * (reduce_3 * three + reduce_33 * double + double * double)
    # Between the stages, the last convolution of each branch has the stride, and the pool has no projection.
    halvings = ((28, 320, 128, 160, 64, 96), (14, 576, 128, 192, 192, 256))
    for size, channels, reduce_3, three, reduce_33, double in halvings:
        macs += size**2 * (channels * (reduce_3 + reduce_33) + 9 * reduce_33 * double)
        macs += (size // 2) ** 2 * 9 * (reduce_3 * three + double * double)
    return macs + 1024 * 1000


def shufflenet() -> int:
    """Zhang et al. 2017, table 1, four groups, at half the channels: 136, 272 and 544.

    The file departs from the paper: the first layer keeps its 24 channels, the bottlenecks are not narrowed
    to a fourth, and the first 1 x 1 convolution is grouped like the others.
    """
    macs, channels, size = 112**2 * 24 * (3 * 9), 24, 56
    for out, repeats in ((136, 3), (272, 7), (544, 3)):
        added = out - channels  # joined to the pooled input
        macs += size**2 * added * (channels // 4)
        size //= 2
        macs += size**2 * added * (9 + added // 4)
        macs += repeats * size**2 * out * (out // 4 + 9 + out // 4)
        channels = out
    return macs + 544 * 1000


PUBLISHED_MACS: Mapping[str, Callable[[], int]] = {
    "light_bvlc_alexnet": alexnet,
    "light_densenet121": densenet121,
    "light_inception_v1": inception_v1,
    "light_inception_v2": inception_v2,
    "light_resnet50": resnet50,
    "light_shufflenet": shufflenet,
    "light_squeezenet": squeezenet,
    "light_vgg19": vgg19,
    "light_zfnet512": zfnet512,
}
"""By the name of the file in the onnx package."""
