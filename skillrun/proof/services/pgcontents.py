"""What a PostgreSQL database holds, as queries: what defines its things, and digests
of its rows.
"""

from __future__ import annotations

_USERS = r"""
    n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.objid = {oid} AND e.deptype = 'e')
"""
_NAME = (
    "CASE n.nspname WHEN 'public' THEN lower(c.relname)"
    " ELSE lower(n.nspname || '.' || c.relname) END"
)
# Of a partition its whole table, which is what queries name.
_WHOLE = """
    (SELECT CASE m.nspname WHEN 'public' THEN lower(t.relname)
            ELSE lower(m.nspname || '.' || t.relname) END
        FROM pg_class t JOIN pg_namespace m ON m.oid = t.relnamespace
        WHERE t.oid = coalesce(pg_partition_root({oid}), {oid}))
"""

# Queries, one to a table. Temporary tables end with their connection; what an extension brought
# along is its own.
DIGESTS = f"""
    SELECT format(
        'SELECT %L, md5(string_agg(r::text, chr(10) ORDER BY r::text COLLATE "C")) FROM %I.%I r',
        {_WHOLE.format(oid="c.oid")}, n.nspname, c.relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND {_USERS.format(oid="c.oid")}
    UNION ALL
    SELECT 'SELECT ''large objects'', md5(string_agg(loid || '':'' || pageno || encode(data, ''hex''),
        '','' ORDER BY loid, pageno)) FROM pg_largeobject'
"""

# Each sequence `c` that counts upwards with each column `a` of a table `t` that it fills. A column
# has a sequence where it owns it (serial, identity), or where its default draws from it.
_FILLED = f"""
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_sequence s ON s.seqrelid = c.oid
    JOIN (SELECT objid AS sequence, refobjid AS relation, refobjsubid AS number FROM pg_depend
            WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
                AND deptype IN ('a', 'i') AND refobjsubid > 0
        UNION SELECT d.refobjid, f.adrelid, f.adnum
            FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid
            WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass
    ) u ON u.sequence = c.oid
    JOIN pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.number
    JOIN pg_class t ON t.oid = u.relation JOIN pg_namespace m ON m.oid = t.relnamespace
    WHERE c.relkind = 'S' AND s.seqincrement > 0 AND {_USERS.format(oid="c.oid")}
"""
_WHOLE_NUMBER = "a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)"
_NUMBERS = "format('SELECT %I::bigint AS number FROM %I.%I', a.attname, m.nspname, t.relname)"

# (sequence, its name as a literal, query of the numbers that its columns hold).
SEQUENCES = f"""
    SELECT format('%I.%I', n.nspname, c.relname),
        format('%L', format('%I.%I', n.nspname, c.relname)),
        string_agg({_NUMBERS}, ' UNION ALL ')
    {_FILLED}
    GROUP BY n.nspname, c.relname
    HAVING bool_and({_WHOLE_NUMBER})
"""

# (table, number of a column that a sequence fills, the sequence, query of the column's numbers, by
# how much the sequence counts).
NUMBERED = f"""
    SELECT t.oid::bigint, a.attnum, format('%I.%I', n.nspname, c.relname), {_NUMBERS},
        s.seqincrement
    {_FILLED} AND {_WHOLE_NUMBER}
"""

# (table, number of a column, the table and the column that it points to).
POINTING = """
    SELECT k.conrelid::bigint, u.mine, k.confrelid::bigint, u.theirs
    FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u(mine, theirs)
    WHERE k.contype = 'f'
"""

# (kind, name, table that it belongs to, text).
DEFINITIONS = f"""
    SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' WHEN 'S' THEN 'sequence'
            WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END,
        {_NAME},
        CASE WHEN c.relkind IN ('i', 'I') THEN
            (SELECT {_WHOLE.format(oid="x.indrelid")} FROM pg_index x WHERE x.indexrelid = c.oid)
        WHEN c.relkind = 'S' THEN
            (SELECT {_WHOLE.format(oid="d.refobjid")} FROM pg_depend d
                WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 LIMIT 1)
        ELSE {_WHOLE.format(oid="c.oid")} END,
        concat(CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid)
                WHEN c.relkind IN ('i', 'I') THEN pg_get_indexdef(c.oid) END,
            (SELECT string_agg(concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                    a.attnotnull, pg_get_expr(f.adbin, f.adrelid)), ',' ORDER BY a.attnum)
                FROM pg_attribute a LEFT JOIN pg_attrdef f
                    ON f.adrelid = a.attrelid AND f.adnum = a.attnum
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
            (SELECT string_agg(description, ',' ORDER BY objsubid)
                FROM pg_description WHERE objoid = c.oid))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I') AND {_USERS.format(oid="c.oid")}
    UNION ALL
    SELECT 'function', lower(p.oid::regprocedure::text), '', p.prosrc
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE {_USERS.format(oid="p.oid")}
    UNION ALL
    SELECT 'trigger', lower(t.tgname || ' on ' || t.tgrelid::regclass),
        lower(t.tgrelid::regclass::text), concat(pg_get_triggerdef(t.oid), t.tgenabled)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND {_USERS.format(oid="c.oid")}
    UNION ALL
    SELECT 'schema', lower(n.nspname), '', '' FROM pg_namespace n
    WHERE {_USERS.format(oid="n.oid")}
    UNION ALL
    SELECT 'extension', extname, '', extversion FROM pg_extension
"""
