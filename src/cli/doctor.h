/* SPDX-License-Identifier: PostgreSQL
 * `pgherald doctor`: goes the way of an event, from the tables to the browser, and says what is
 * wrong. */
#ifndef PGHERALD_CLI_DOCTOR_H
#define PGHERALD_CLI_DOCTOR_H

/* argv[0] is "doctor". The exit status: 0 nothing to mend, 1 something is, 2 something could not be
 * looked at, or misuse. */
int cli_doctor(int argc, char **argv);

#endif
