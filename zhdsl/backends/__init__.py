"""Backends make programs run: `numpy` on any machine. One protocol, in base.py; nothing outside knows which one runs."""
