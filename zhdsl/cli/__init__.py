"""The commands `zh` and `zhdsl`: one file per command, loaded only when it is called."""
