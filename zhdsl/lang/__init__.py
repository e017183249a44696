"""From text to a checked, lowered program: `read` and `parse` give the syntax tree, `check` its meaning.

    bytes ─read→ Source ─parse→ ast.Module ─check→ Model ─lower→ Graph
                                     └─format→ text

`grammar.lark` is the grammar, `tables.json` what Lark makes of it; `codes` explains every error.
"""
