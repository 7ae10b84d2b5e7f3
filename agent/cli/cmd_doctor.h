/* agent/cli/cmd_doctor.h - the findings on this host, for those who pack them up. */
#pragma once

#include <glib.h>

struct options;

/* The document, open at its end. NULL: this host cannot be looked at. */
GString *doctor_document(const struct options *o);
