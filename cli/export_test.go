package cli

// SplitWords reads the command lines of scripts.
var SplitWords = splitWords
