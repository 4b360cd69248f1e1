"""Which declarations keep two rows with the same key out, each in a pair: found, or rightly not
counted.
"""

from __future__ import annotations

import textwrap

import helpers
import pytest

from skillrun.repo.python import Project
from skillrun.repo.tree import Tree
from skillrun.skills.job_worker.readings.tables import uniqueness


def unique(root, files, key=("order_id",), table="receipts"):
    helpers.build_tree(root, {path: textwrap.dedent(text) for path, text in files.items()})
    found = uniqueness.tables(Project(Tree(root)), table)
    assert found, "the table itself was not found"
    return uniqueness.is_unique(found, key)


SQL_UNIQUE = {
    "column": "CREATE TABLE receipts (order_id INT UNIQUE, email TEXT);",
    "not null unique": (
        "create table if not exists public.receipts (id serial, order_id int not null unique)"
    ),
    "primary key": 'CREATE TABLE "receipts" ("order_id" INTEGER PRIMARY KEY);',
    "constraint": (
        "CREATE TABLE receipts (order_id INT, email TEXT, CONSTRAINT once UNIQUE (order_id));"
    ),
    "mysql key": (
        "CREATE TABLE `receipts` (`order_id` INT, UNIQUE KEY `once` (`order_id`)) ENGINE=InnoDB;"
    ),
    "nulls": "CREATE TABLE receipts (order_id INT, UNIQUE NULLS NOT DISTINCT (order_id));",
    "index": (
        "CREATE TABLE receipts (order_id INT);\nCREATE UNIQUE INDEX once ON receipts (order_id"
        " DESC);"
    ),
    "index using": "CREATE UNIQUE INDEX CONCURRENTLY x ON receipts USING btree (order_id);",
    "index, then a query": (
        "CREATE UNIQUE INDEX x ON receipts (order_id)\nSELECT 1 FROM receipts WHERE a = 1"
    ),
    "alter": (
        "CREATE TABLE receipts (order_id INT);\nALTER TABLE ONLY receipts ADD CONSTRAINT x UNIQUE"
        " (order_id);"
    ),
    "alter key": (
        "CREATE TABLE receipts (order_id INT);\nALTER TABLE receipts ADD UNIQUE KEY x (order_id);"
    ),
}
SQL_NOT_UNIQUE = {
    "nothing": "CREATE TABLE receipts (order_id INT, email TEXT UNIQUE);",
    "line comment": "CREATE TABLE receipts (\n  order_id INT -- UNIQUE\n);",
    "block comment": "CREATE TABLE receipts (order_id INT /* UNIQUE */);",
    "commented out": (
        "CREATE TABLE receipts (order_id INT);\n-- CREATE UNIQUE INDEX x ON receipts (order_id);"
    ),
    "whole table in a comment": (
        "/* CREATE TABLE receipts (order_id INT UNIQUE) */\nCREATE TABLE receipts (x INT);"
    ),
    "in a value": "CREATE TABLE receipts (order_id INT DEFAULT 'unique', email TEXT);",
    "partial index": (
        "CREATE TABLE receipts (order_id INT);\nCREATE UNIQUE INDEX x ON receipts"
        " (order_id)\nWHERE ok;"
    ),
    "expression": (
        "CREATE TABLE receipts (order_id TEXT);\nCREATE UNIQUE INDEX x ON receipts"
        " (lower(order_id));"
    ),
    "wider": "CREATE TABLE receipts (order_id INT, email TEXT, UNIQUE (order_id, email));",
    "composite primary": (
        "CREATE TABLE receipts (order_id INT, at TEXT, PRIMARY KEY (order_id, at));"
    ),
    "plain index": "CREATE TABLE receipts (order_id INT);\nCREATE INDEX x ON receipts (order_id);",
    "other table": (
        "CREATE TABLE receipts (order_id INT);\nCREATE TABLE receipts_old (order_id INT UNIQUE);"
    ),
}


@pytest.mark.parametrize("sql", SQL_UNIQUE.values(), ids=SQL_UNIQUE)
def test_sql_finds(tmp_path, sql):
    assert unique(tmp_path / "a", {"schema.sql": sql})
    assert unique(tmp_path / "b", {"schema.py": f'TABLES = """\n{sql}\n"""\n'})


@pytest.mark.parametrize("sql", SQL_NOT_UNIQUE.values(), ids=SQL_NOT_UNIQUE)
def test_sql_ignores(tmp_path, sql):
    assert not unique(tmp_path / "a", {"schema.sql": sql})
    assert not unique(tmp_path / "b", {"schema.py": f'TABLES = """\n{sql}\n"""\n'})


def test_several_columns(tmp_path):
    sql = {
        "schema.sql": "CREATE TABLE receipts (shop TEXT, order_id INT, UNIQUE (shop, order_id));"
    }
    assert unique(tmp_path / "a", sql, key=("order_id", "shop"))
    assert not unique(tmp_path / "b", sql, key=("order_id",))


def test_the_line_of_a_table_is_its_own(tmp_path):
    files = {
        "shop/schema.py": (
            'import os\n\nTABLES = """\n-- CREATE TABLE x\nCREATE TABLE receipts (a INT);\n"""\n'
        )
    }
    helpers.build_tree(tmp_path / "a", files)
    (table,) = uniqueness.tables(Project(Tree(tmp_path / "a")), "receipts")
    assert (table.path, table.line) == ("shop/schema.py", 5)


PYTHON_UNIQUE = {
    "joined strings": (
        """
        db.execute("CREATE TABLE receipts ("
                   "order_id INT UNIQUE)")
        """
    ),
    "f-string": (
        """
        db.execute(f"CREATE TABLE receipts (id {SERIAL}, order_id INT UNIQUE)")
        """
    ),
    "sqlalchemy 1 column": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            id = Column(Integer, primary_key=True)
            order_id = Column(Integer, unique=True)
        """
    ),
    "sqlalchemy named column": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            number = Column("order_id", Integer, unique=True)
        """
    ),
    "sqlalchemy 2 mapped_column": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            id: Mapped[int] = mapped_column(primary_key=True)
            order_id: Mapped[int] = mapped_column(unique=True)
        """
    ),
    "sqlalchemy primary key": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id: Mapped[int] = mapped_column(primary_key=True)
        """
    ),
    "sqlalchemy table args": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id = Column(Integer)
            __table_args__ = (UniqueConstraint("order_id", name="once"), {"schema": "shop"})
        """
    ),
    "sqlalchemy index": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id = Column(Integer)
            __table_args__ = (Index("once", "order_id", unique=True),)
        """
    ),
    "sqlalchemy index by attribute": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id = Column(Integer)
            __table_args__ = (Index("once", order_id, unique=True),)
        """
    ),
    "sqlalchemy table": (
        """
        receipts = Table("receipts", metadata, Column("order_id", Integer, unique=True))
        """
    ),
    "sqlmodel": (
        """
        class Receipts(SQLModel, table=True):
            id: int | None = Field(default=None, primary_key=True)
            order_id: int = Field(unique=True)
        """
    ),
    "django unique": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField(unique=True)
            class Meta:
                db_table = "receipts"
        """
    ),
    "django resembling name": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField(unique=True)
        """
    ),
    "django one to one": (
        """
        class Receipt(models.Model):
            order = models.OneToOneField(Order, on_delete=models.CASCADE)
        """
    ),
    "django db_column": (
        """
        class Receipt(models.Model):
            number = models.IntegerField(unique=True, db_column="order_id")
        """
    ),
    "django constraint": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField()
            class Meta:
                constraints = [models.UniqueConstraint(fields=["order_id"], name="once")]
        """
    ),
    "django unique_together": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField()
            class Meta:
                unique_together = [("order_id",)]
        """
    ),
    "alembic create_table": (
        """
        def upgrade():
            op.create_table("receipts", sa.Column("order_id", sa.Integer()), sa.UniqueConstraint("order_id"))
        """
    ),
    "alembic constraint": (
        """
        def upgrade():
            op.create_table("receipts", sa.Column("order_id", sa.Integer()))
            op.create_unique_constraint("once", "receipts", ["order_id"])
        """
    ),
    "alembic constraint by keyword": (
        """
        def upgrade():
            op.create_unique_constraint("once", table_name="receipts", columns=["order_id"])
        """
    ),
    "alembic index": (
        """
        def upgrade():
            op.create_index("once", "receipts", ["order_id"], unique=True)
        """
    ),
    "alembic batch": (
        """
        def upgrade():
            with op.batch_alter_table("receipts") as batch_op:
                batch_op.create_unique_constraint("once", ["order_id"])
        """
    ),
}
PYTHON_NOT_UNIQUE = {
    "commented out": (
        """
        # db.execute("CREATE TABLE receipts (order_id INT UNIQUE)")
        db.execute("CREATE TABLE receipts (order_id INT)")
        """
    ),
    "docstring": (
        '''
        def create():
            """Used to be: CREATE TABLE receipts (order_id INT UNIQUE)."""
            db.execute("CREATE TABLE receipts (order_id INT)")
        '''
    ),
    "composite primary key": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id: Mapped[int] = mapped_column(primary_key=True)
            attempt: Mapped[int] = mapped_column(primary_key=True)
        """
    ),
    "composite primary key in a table": (
        """
        receipts = Table("receipts", meta, Column("order_id", Integer, primary_key=True),
                         Column("at", Text, primary_key=True))
        """
    ),
    "composite primary key of sqlmodel": (
        """
        class Receipts(SQLModel, table=True):
            order_id: int = Field(primary_key=True)
            at: str = Field(primary_key=True)
        """
    ),
    "partial index": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id = Column(Integer)
            __table_args__ = (Index("once", "order_id", unique=True, postgresql_where=text("ok")),)
        """
    ),
    "index over an expression": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id = Column(Integer)
            __table_args__ = (Index("once", "order_id", func.date(at), unique=True),)
        """
    ),
    "plain index": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id = Column(Integer, index=True)
        """
    ),
    "unique=False": (
        """
        class Receipt(Base):
            __tablename__ = "receipts"
            order_id = Column(Integer, unique=False)
        """
    ),
    "django condition": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField()
            class Meta:
                constraints = [models.UniqueConstraint(fields=["order_id"], condition=Q(sent=True), name="once")]
        """
    ),
    "django expression": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField()
            class Meta:
                constraints = [models.UniqueConstraint(Lower("order_id"), name="once")]
        """
    ),
    "django unique_for_date": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField(unique_for_date="day")
        """
    ),
    "alembic plain index": (
        """
        def upgrade():
            op.create_index("once", "receipts", ["order_id"])
        """
    ),
    "alembic partial index": (
        """
        def upgrade():
            op.create_index("once", "receipts", ["order_id"], unique=True, postgresql_where=sa.text("ok"))
        """
    ),
    "alembic downgrade": (
        """
        def upgrade():
            op.create_table("receipts", sa.Column("order_id", sa.Integer()))
        def downgrade():
            op.create_unique_constraint("once", "receipts", ["order_id"])
        """
    ),
    "another table's batch": (
        """
        def upgrade():
            op.create_table("receipts", sa.Column("order_id", sa.Integer()))
            with op.batch_alter_table("orders") as batch_op:
                batch_op.create_unique_constraint("once", ["order_id"])
        """
    ),
    "the exact name wins": (
        """
        class Receipt(models.Model):
            order_id = models.IntegerField(unique=True)

        db.execute("CREATE TABLE receipts (order_id INT)")
        """
    ),
}


@pytest.mark.parametrize("code", PYTHON_UNIQUE.values(), ids=PYTHON_UNIQUE)
def test_python_finds(tmp_path, code):
    assert unique(tmp_path / "a", {"shop/models.py": code})


@pytest.mark.parametrize("code", PYTHON_NOT_UNIQUE.values(), ids=PYTHON_NOT_UNIQUE)
def test_python_ignores(tmp_path, code):
    assert not unique(tmp_path / "a", {"shop/models.py": code})


def test_the_name_that_django_derives(tmp_path):
    code = "class DedupeKey(models.Model):\n    order_id = models.IntegerField(unique=True)\n"
    assert unique(tmp_path / "a", {"shop/models.py": code}, table="shop_dedupekey")


FOREIGN_KEY = """
    class Receipt(models.Model):
        order = models.ForeignKey(Order, on_delete=models.CASCADE)
        revision = models.IntegerField()
        class Meta:
            {meta}
    """
META = {
    "constraint": (
        'constraints = [models.UniqueConstraint(fields=["order", "revision"], name="once")]'
    ),
    "unique_together": 'unique_together = ("order", "revision")',
}


@pytest.mark.parametrize("meta", META.values(), ids=META)
def test_a_foreign_key_is_the_column_that_it_is_kept_in(tmp_path, meta):
    code = {"shop/models.py": FOREIGN_KEY.format(meta=meta)}
    assert unique(tmp_path / "a", code, key=("order_id", "revision"))
    assert unique(tmp_path / "b", code, key=("order", "revision"))
    assert not unique(tmp_path / "c", code, key=("revision_id", "order_id"))


KEY_COLUMN = {
    "sql": {
        "schema.sql": (
            "CREATE TABLE receipts (id INT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE);"
        )
    },
    "sqlalchemy": {
        "m.py": (
            "class R(Base):\n    __tablename__ = 'receipts'\n    key = mapped_column(String,"
            " unique=True)\n"
        )
    },
}
NO_KEY_COLUMN = {
    "another unique column": {
        "schema.sql": "CREATE TABLE receipts (id INT PRIMARY KEY, note TEXT UNIQUE);"
    },
    "not unique": {
        "schema.sql": "CREATE TABLE receipts (id INT PRIMARY KEY, idempotency_key TEXT);"
    },
    "another key": {"schema.sql": "CREATE TABLE receipts (id INT, api_key TEXT UNIQUE);"},
}


@pytest.mark.parametrize("files", KEY_COLUMN.values(), ids=KEY_COLUMN)
def test_a_unique_key_column_finds(tmp_path, files):
    helpers.build_tree(tmp_path / "a", files)
    found = uniqueness.tables(Project(Tree(tmp_path / "a")), "receipts")
    assert uniqueness.key_column(found, ["order_id", "day"])


@pytest.mark.parametrize("files", NO_KEY_COLUMN.values(), ids=NO_KEY_COLUMN)
def test_a_unique_key_column_ignores(tmp_path, files):
    helpers.build_tree(tmp_path / "a", files)
    found = uniqueness.tables(Project(Tree(tmp_path / "a")), "receipts")
    assert not uniqueness.key_column(found, ["order_id", "day"])


SHAPES = {
    "pydantic": (
        "from pydantic import BaseModel\n\n\nclass Receipt(BaseModel):\n    order_id: int\n"
    ),
    "a serializer": (
        "from rest_framework.serializers import ModelSerializer\n\n\nclass"
        " Receipt(ModelSerializer): ...\n"
    ),
    "a form": "from django import forms\n\n\nclass Receipt(forms.ModelForm): ...\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_class_that_only_resembles_a_table_is_none(tmp_path, shape):
    helpers.build_tree(tmp_path, {"shop/shapes.py": SHAPES[shape]})
    assert uniqueness.tables(Project(Tree(tmp_path)), "receipts") == ()


def test_a_base_of_the_same_name_may_be_one_of_tables(tmp_path):
    helpers.build_tree(
        tmp_path, {"shop/models.py": SHAPES["pydantic"].replace("pydantic", "shop.base")}
    )
    assert [table.path for table in uniqueness.tables(Project(Tree(tmp_path)), "receipts")] == [
        "shop/models.py"
    ]
