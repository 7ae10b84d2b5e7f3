/* agent/cli/main.c - lapwing(8). */
#include "agent/cli/command.h"

int main(int argc, char **argv)
{
	return command_main(argc, argv);
}
