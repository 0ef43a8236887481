"""The commands of `jsddpm`, one file a family; torch and its like are imported only when a command needs them."""
