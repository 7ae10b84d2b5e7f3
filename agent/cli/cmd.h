/* agent/cli/cmd.h - one function per command; cmd_*.c. */
#pragma once

#include "agent/cli/command.h"

enum exit_code cmd_genkey(const struct options *o);
enum exit_code cmd_pubkey(const struct options *o);
enum exit_code cmd_enroll(const struct options *o);
enum exit_code cmd_deregister(const struct options *o);
enum exit_code cmd_import(const struct options *o);
enum exit_code cmd_export(const struct options *o);
enum exit_code cmd_up(const struct options *o);
enum exit_code cmd_down(const struct options *o);
enum exit_code cmd_status(const struct options *o);
enum exit_code cmd_peers(const struct options *o);
enum exit_code cmd_wake(const struct options *o);
enum exit_code cmd_idle(const struct options *o);
enum exit_code cmd_pin(const struct options *o);
enum exit_code cmd_unpin(const struct options *o);
enum exit_code cmd_psk(const struct options *o);
enum exit_code cmd_why(const struct options *o);
enum exit_code cmd_debug(const struct options *o);
enum exit_code cmd_doctor(const struct options *o);
enum exit_code cmd_report(const struct options *o);
enum exit_code cmd_metrics(const struct options *o);
enum exit_code cmd_monitor(const struct options *o);
enum exit_code cmd_plan(const struct options *o);
enum exit_code cmd_apply(const struct options *o);
enum exit_code cmd_check_config(const struct options *o);
enum exit_code cmd_log_level(const struct options *o);
enum exit_code cmd_version(const struct options *o);
