"""Notebooks: `%load_ext zhdsl`, cells in the language, values that show themselves, colours.

    bundles.py    what models, graphs and runs show: text, HTML, SVG
    chart.py      the losses and metrics of a run as a picture
    magic.py      %%zh
    lexer.py      tokens of the language for Pygments

What needs IPython or Pygments is imported only when it is used.
"""
