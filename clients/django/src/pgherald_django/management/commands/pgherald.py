# SPDX-License-Identifier: PostgreSQL
"""manage.py pgherald conf | check | sql | roles | types | makemigrations"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

from django.core.management.base import BaseCommand, CommandError
from django.db.migrations.writer import MigrationWriter

from ... import conf, migrations, program, render
from ...paths import PathError
from ...watches import watches


class Command(BaseCommand):
    help = "What pgherald is to watch, as the models say it: its configuration, the database, a migration."
    requires_system_checks: Any = []

    def add_arguments(self, parser: Any) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

        one = commands.add_parser("conf", help="print the sections of pgherald.conf")
        one.add_argument("--watches", action="store_true", help="only the [watch] sections")
        one.add_argument("--output", metavar="FILE", help="write them there")
        one.add_argument("--check", metavar="FILE", help="exit with 1 when they are not what stands there")

        one = commands.add_parser("check", help="compare the models with the database")
        one.add_argument("--database", help="one of DATABASES")
        one.add_argument("--json", action="store_true")

        one = commands.add_parser("sql", help="pgherald sql …, with this configuration")
        one.add_argument("--database", help="one of DATABASES, whose role runs it")
        one.add_argument(
            "words", nargs="*", metavar="WORD", help="render, install, upgrade, uninstall, prune"
        )
        one.add_argument("--apply", action="store_true")
        one.add_argument("--watch", metavar="TOPIC")

        one = commands.add_parser("roles", help="print what an administrator of the database runs once")
        one.add_argument("--database", help="one of DATABASES")

        one = commands.add_parser("types", help="print the types of the events")
        one.add_argument("--ts", action="store_true", help="TypeScript")
        one.add_argument("--json-schema", action="store_true")
        one.add_argument("--database", help="one of DATABASES, for the columns' types")

        one = commands.add_parser("makemigrations", help="write a migration with the watches of now")
        one.add_argument("app_label", nargs="?", help="whose migration it becomes")
        one.add_argument("--name", "-n", default="")
        one.add_argument(
            "--check", action="store_true", help="exit with 1 when one is missing; write nothing"
        )
        one.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, command: str, **options: Any) -> None:
        try:
            getattr(self, "do_" + command)(**options)
        except (PathError, program.ProgramError) as error:
            raise CommandError(str(error)) from None

    def do_conf(self, watches: bool, output: str, check: str, **options: Any) -> None:
        text = render.watched() if watches else render.everything(render.watched())
        status, _, said = program.run("-t", watched=render.watched())
        if status:
            raise CommandError(said.strip())
        if check:
            path = Path(check)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                raise CommandError(f"{check} is not what the models say")
        elif output:
            Path(output).write_text(text, encoding="utf-8")
        else:
            self.stdout.write(text, ending="")

    def do_check(self, database: str, json: bool, **options: Any) -> None:
        self._pass_on(["sql", "check", *(["--json"] if json else [])], database or conf.get("DATABASE"))

    def do_sql(self, words: Any, database: str, apply: bool, watch: str, **options: Any) -> None:
        words = ["sql", *words, *(["--apply"] if apply else []), *(["--watch", watch] if watch else [])]
        self._pass_on(words, database or (conf.get("DATABASE") if apply else ""))

    def do_roles(self, database: str, **options: Any) -> None:
        from django.db import connections

        user = connections[database or conf.get("DATABASE")].settings_dict["USER"] or _login()
        self._pass_on(["sql", "roles", "--for", user], "")

    def do_types(self, ts: bool, json_schema: bool, database: str, **options: Any) -> None:
        words = ["types", *(["--ts"] if ts else []), *(["--json-schema"] if json_schema else [])]
        self._pass_on(words, database)

    def do_makemigrations(
        self, app_label: str, name: str, check: bool, dry_run: bool, **options: Any
    ) -> None:
        app_label = app_label or self._app_label()
        migration = migrations.next_migration(app_label, name)
        if migration is None:
            self.stdout.write("No changes: the last migration says what the models say.")
            return
        if check:
            raise CommandError("a migration with what pgherald is to watch is missing")
        writer = MigrationWriter(migration)
        if dry_run:
            self.stdout.write(writer.as_string(), ending="")
            return
        path = Path(writer.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(writer.as_string(), encoding="utf-8")
        self.stdout.write(f"{path}: {migration.operations[0].describe()}")

    def _app_label(self) -> str:
        """The app of the last such migration, else the only app of the project that watches something."""
        found = migrations._found(migrations._loader())
        if found:
            return found[-1][0][0]
        labels = sorted({w.model._meta.app_label for w in watches() if w.model})
        if len(labels) != 1:
            raise CommandError(
                "say whose migration it is to be: " + (", ".join(labels) or "nothing is watched")
            )
        return labels[0]

    def _pass_on(self, words: Any, alias: str) -> None:
        env: Dict[str, str] = {}
        if alias:
            dsn, env = program.server(alias)
            words = [*words, "--dsn", dsn]
        status, out, said = program.run(*words, watched=render.watched(), env=env)
        self.stdout.write(out, ending="")
        if status:
            raise CommandError(said.strip() or "pgherald says so", returncode=status)
        if said:
            self.stderr.write(said, ending="")


def _login() -> str:
    import getpass

    return getpass.getuser()
