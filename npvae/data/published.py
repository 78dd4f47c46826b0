"""The public data sets: which files they consist of, their checksums, and who serves them.

``FILES[set][part]`` describes one file, ``MIRRORS[set]`` lists addresses to which the file's name is
appended, tried in order. Both are plain dictionaries that a test may replace.
"""

from __future__ import annotations

from typing import NamedTuple


class PublishedFile(NamedTuple):
    """A file as the mirrors serve it: its name, sha256, length in bytes, and the rows it must hold."""

    name: str
    sha256: str
    size: int
    rows: int


FILES = {
    "mnist": {
        "x_train": PublishedFile(
            "train-images-idx3-ubyte.gz",
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            9912422,
            60000,
        ),
        "y_train": PublishedFile(
            "train-labels-idx1-ubyte.gz",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            28881,
            60000,
        ),
        "x_test": PublishedFile(
            "t10k-images-idx3-ubyte.gz",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            1648877,
            10000,
        ),
        "y_test": PublishedFile(
            "t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4542, 10000
        ),
    },
    "fashion-mnist": {
        "x_train": PublishedFile(
            "train-images-idx3-ubyte.gz",
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            26421880,
            60000,
        ),
        "y_train": PublishedFile(
            "train-labels-idx1-ubyte.gz",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            29515,
            60000,
        ),
        "x_test": PublishedFile(
            "t10k-images-idx3-ubyte.gz",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            4422102,
            10000,
        ),
        "y_test": PublishedFile(
            "t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5148, 10000
        ),
    },
    # Served as plain text, so these are the checksums of the unpacked files; a row is 1568 bytes.
    "binarized-mnist": {
        "x_train": PublishedFile(
            "binarized_mnist_train.amat",
            "ad693b29f94c14277b095f5238ddefbbdaaae0939789dd2f4f0205278cee3e4d",
            50000 * 1568,
            50000,
        ),
        "x_valid": PublishedFile(
            "binarized_mnist_valid.amat",
            "1de3d397c40fe8eeb33dafd4099a1f665ec01e96d9be234aaeeac8a34930e2e2",
            10000 * 1568,
            10000,
        ),
        "x_test": PublishedFile(
            "binarized_mnist_test.amat",
            "e6687bfea3f820c174f33b7865140b2a2dd2930ef786f35d45795fc193b5ab2c",
            10000 * 1568,
            10000,
        ),
    },
}

MIRRORS = {
    "mnist": ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"],
    "fashion-mnist": [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ],
    "binarized-mnist": ["http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"],
}

DESCRIPTIONS = {
    "mnist": "MNIST of LeCun, Cortes and Burges: 60,000 and 10,000 handwritten digits.",
    "fashion-mnist": "Fashion-MNIST of Zalando (Xiao, Rasul and Vollgraf, 2017): 60,000 and 10,000 pictures "
    "of clothing in ten classes.",
    "binarized-mnist": "The statically binarised MNIST of Larochelle and Murray (2011): 50,000, 10,000 and "
    "10,000 rows of 0 and 1, without labels. The test rows lie in the order of their classes: shuffle them "
    "before taking only a part.",
}
