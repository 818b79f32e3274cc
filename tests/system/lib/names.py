# SPDX-License-Identifier: PostgreSQL
"""Columns of the application that are called as something in our statements is."""

# Tables, columns and variables of sql/ and src/sql/.
OURS = ("r o n m g u t k c d s x y j w p i v it own was now one this past pair page pads asked gone is_now was_r "
        "changed owner owners before after ers token ends users news tally more moved doc leave place ordinality "
        "old_rows new_rows olds tx max_users max_rows max_stmts max_bytes n_rows n_stmts n_here payload event few "
        "op topic pk txid reason written last_id no_key recorded whose nth keys places whole "
        "names former_names").split()


def call_columns_like_ours(db, kind, *tables):
    value = "'odd'" if kind == "text" else "'{\"id\":3,\"foreman_id\":3,\"user_id\":3,\"project_id\":3}'"
    for table in tables:
        there = {name for (name,) in db.run("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass", [table])}
        db.run(f"ALTER TABLE {table} " + ", ".join(f'ADD "{name}" {kind} DEFAULT {value}'
                                                   for name in OURS if name not in there))
