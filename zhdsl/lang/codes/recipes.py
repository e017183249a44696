"""Z07xx: recipes and data."""

from __future__ import annotations

from zhdsl.lang.codes.code import Code
from zhdsl.lang.codes.examples import DATA, LOSS, recipe

_DIGITS = (
    "model M(image: [B, H=8, W=8]) -> logits: [B, K=10] { return merge[F = (H, W)](image) -> Dense[10] }\ntrain M {\n"
    "  data = digits[]\n  loss = cross_entropy[K](logits, label)\n  optimizer = sgd[lr = 0.1]\n"
)

CODES: tuple[Code, ...] = (
    Code(
        "Z0701",
        "an unknown key",
        "The keys of a recipe are data, valid, prepare, augment, loss, optimizer, schedule, clip, batch, epochs, "
        "steps, seed, metric, early_stop, freeze, precision, expect. Only prepare and augment take a field: "
        "`prepare.image`.",
        recipe(DATA, LOSS, "bacth = 32"),
        recipe(DATA, LOSS, "batch = 32"),
    ),
    Code(
        "Z0702",
        "a key is given twice",
        "Each key stands once in a recipe.",
        recipe(DATA, LOSS, "loss = mae(p, y)"),
        recipe(DATA, LOSS),
    ),
    Code(
        "Z0703",
        "a key is missing",
        "A recipe needs at least data, loss and optimizer.",
        recipe(DATA, LOSS, more=""),
        recipe(DATA, LOSS),
    ),
    Code(
        "Z0704",
        "the loss is not one number",
        "What is minimised is a single number; reduce what has axes: `mean(…)`.",
        recipe(DATA, "loss = (p - y) ^ 2"),
        recipe(DATA, "loss = mean((p - y) ^ 2)"),
    ),
    Code(
        "Z0705",
        "a metric is not one number",
        "In a metric the batch axis stands for the whole pass over the data. What remains must be one number.",
        recipe(DATA, LOSS, "metric = (off = abs(p - y))"),
        recipe(DATA, LOSS, "metric = (off = mean(abs(p - y)))"),
    ),
    Code(
        "Z0706",
        "data and inputs do not fit",
        "The fields of the data are bound to the inputs of the model by their names, their axes in order. Each "
        "input needs a field with as many axes, of its dtype.",
        recipe(DATA, LOSS).replace("x: [B", "points: [B").replace("return x", "return points"),
        recipe(DATA, LOSS),
    ),
    Code(
        "Z0707",
        "no such data",
        "`data` is a data set of the library, or one that the file declares with `dataset`.",
        recipe("data = spirals[]", LOSS),
        recipe(DATA, LOSS),
    ),
    Code(
        "Z0708",
        "one name for two things",
        "Fields of the data, results of the model and metrics share one space of names in a recipe; a field may "
        "have the name of the input it is bound to.",
        recipe(DATA, LOSS, "metric = (p = mean(p))"),
        recipe(DATA, LOSS, "metric = (average = mean(p))"),
    ),
    Code(
        "Z0709",
        "a setting that cannot be",
        "The message says what this key takes.",
        recipe(DATA, LOSS, "batch = 0"),
        recipe(DATA, LOSS, "batch = all"),
    ),
    Code(
        "Z0710",
        "epochs and steps",
        "The length of the training is given in epochs or in steps, not in both.",
        recipe(DATA, LOSS, "epochs = 3", "steps = 100"),
        recipe(DATA, LOSS, "steps = 100"),
    ),
    Code(
        "Z0711",
        "nothing of this name to freeze, or nothing left to train",
        'Patterns as in a shell are matched with the paths of parameters: `freeze = "encoder.*"`. One that fits '
        "none is a mistake in writing.",
        recipe(DATA, LOSS, 'freeze = "conv*"'),
        recipe(DATA, LOSS, 'freeze = "dense.b"'),
    ),
    Code(
        "Z0712",
        "a field that cannot be changed so",
        "`prepare.image = …` and `augment.image = …` give a field of the data a new value, sample by sample: the "
        "batch axis stays. Statistics over the batch may be part of it, they are fitted once on the training data.",
        _DIGITS + "  prepare.image = mean[B](image)\n}\n",
        _DIGITS + "  prepare.image = image - mean[B](image)\n}\n",
    ),
    Code(
        "Z0713",
        "no such model",
        "What is trained, or named on the command line, is a `model`.",
        recipe(DATA, LOSS).replace("train M", "train Spirals"),
        recipe(DATA, LOSS),
    ),
    Code(
        "Z0714",
        "not made for this key",
        "An optimiser is a block `(w, g, rate, step) -> w`, a schedule a function `(step)` or `(epoch) -> []`, a "
        "clip a function `(g, norm) -> g`. Their parameters are known by these names, and each takes those it "
        "needs.",
        recipe(DATA, LOSS, "clip = relu"),
        recipe(DATA, LOSS, "clip = clip_norm[1.0]"),
    ),
    Code(
        "Z0715",
        "no expectation",
        "`expect` compares metrics, or the loss, with numbers, several joined by `and`: `acc >= 0.97 and loss < 0.1`.",
        recipe(DATA, LOSS, "expect = acc > 0.9"),
        recipe(DATA, LOSS, "metric = (acc = binary_accuracy(p, y))", "expect = acc > 0.9"),
    ),
    Code(
        "Z0790",
        "a metric that no pass can collect",
        "A metric is computed batch by batch: its sums, means and maxima over the batch axis are collected, what "
        "follows is done once at the end. Here the batch axis is used in another way, which would need all data at "
        "once.",
    ),
)
