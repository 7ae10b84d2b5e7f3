/* agent/cli/complete.h - what a shell may offer next, from the tables of commands and options. */
#pragma once

#include <stdio.h>

/* The words behind `lapwing`, the last of them the one that is being written. A line for each word that
 * begins like it: the word, a tab, what it is. ":file" and ":dir" are a line of their own: the shell
 * knows those itself. Says nothing when it knows nothing. */
void complete(FILE *out, int argc, char **argv);
