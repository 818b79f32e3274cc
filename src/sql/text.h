/* SPDX-License-Identifier: PostgreSQL
 * The templates of sql/, as the build embedded them (sql/embed.awk). */
#ifndef PGHERALD_SQL_TEXT_H
#define PGHERALD_SQL_TEXT_H

extern const char sql_begin[];
extern const char sql_core[];
extern const char sql_kinds[];
extern const char sql_stored[];
extern const char sql_tables_only[];
extern const char sql_names[];
extern const char sql_owners[];
extern const char sql_teller_home[];
extern const char sql_teller[];
extern const char sql_teller_gone[];
extern const char sql_late[];
extern const char sql_late_inline[];
extern const char sql_grant_missing[];
extern const char sql_revoke_unneeded[];
extern const char sql_dump[];
extern const char sql_watch[];
extern const char sql_on_journal[];
extern const char sql_on_inline[];
extern const char sql_look[];
extern const char sql_beside[];
extern const char sql_vigil[];
extern const char sql_refuse[];
extern const char sql_parts[];
extern const char sql_way[];
extern const char sql_unway[];
extern const char sql_settings[];
extern const char sql_tell[];
extern const char sql_tell_nothing[];
extern const char sql_look_inline[];
extern const char sql_auth[];
extern const char sql_auth_owners[];
extern const char sql_auth_token[];
extern const char sql_auth_session[];
extern const char sql_auth_user[];
extern const char sql_auth_ticket[];
extern const char sql_authorize[];
extern const char sql_revoke_token[];
extern const char sql_revoke_session[];
extern const char sql_silence[];
extern const char sql_stamp[];
extern const char sql_unwatch[];
extern const char sql_uninstall[];
extern const char sql_roles[];
extern const char sql_migration_begin[];
extern const char sql_migration_end[];

#endif
