package main

// Without C there is nothing else.
func elsewhere() {}
