"""The keys of a recipe, and what other systems call them."""

from __future__ import annotations

KEYS = (
    *("data", "valid", "prepare", "augment", "loss", "optimizer", "schedule", "clip", "batch", "epochs", "steps"),
    *("seed", "metric", "early_stop", "freeze", "precision", "expect"),
)

OTHER_KEYS = {
    **dict.fromkeys(("batch_size", "batchsize", "bs"), "batch"),
    **dict.fromkeys(("lr", "learning_rate", "momentum", "weight_decay"), "optimizer = adam[lr = …]"),
    **dict.fromkeys(("optim", "opt", "optimiser"), "optimizer"),
    **dict.fromkeys(("validation", "val", "valid_data", "test"), "valid"),
    **dict.fromkeys(("dataset", "train_data", "inputs"), "data"),
    **dict.fromkeys(("scheduler", "lr_schedule", "warmup"), "schedule"),
    **dict.fromkeys(("metrics", "accuracy", "acc"), "metric"),
    **dict.fromkeys(("epoch", "num_epochs", "max_epochs", "n_epochs"), "epochs"),
    **dict.fromkeys(("iterations", "max_steps", "num_steps"), "steps"),
    **dict.fromkeys(("patience", "early_stopping"), "early_stop"),
    **dict.fromkeys(("criterion", "loss_fn", "objective"), "loss"),
    **dict.fromkeys(("preprocess", "preprocessing", "normalize", "transform"), "prepare"),
    **dict.fromkeys(("augmentation", "transforms"), "augment"),
    **dict.fromkeys(("random_seed", "random_state"), "seed"),
    **dict.fromkeys(("dtype", "amp", "fp16"), "precision"),
    **dict.fromkeys(("grad_clip", "clipping", "max_norm"), "clip"),
}
EXAMPLE = {
    "data": "data = digits[]",
    "loss": "loss = cross_entropy[K](logits, label)",
    "optimizer": "optimizer = adam[lr = 1e-3]",
    "schedule": "schedule = cosine[total = 1000]",
    "clip": "clip = clip_norm[1.0]",
}
