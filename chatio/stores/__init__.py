"""Where state lives: `base` says what a store promises, each other module is one back end."""
