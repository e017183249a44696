"""Backends make programs run: `numpy` on any machine. One protocol, in base.py; nothing else knows which one runs."""
