"""What is rewritten in the files of each language, so that a handler can be broken while its test
runs: decisions, keys and the calls that are effects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ast_grep_py import SgNode

MADE, DECIDED, ENTERED = "made", "decided", "entered"
"""Files of a run: effects as they take place, each with the number of its delivery; decisions as a
job that is delivered again meets them; deliveries, each with its job.
"""

RECORDS = (MADE, DECIDED, ENTERED, "again", "keys")
"""All files of a run. The helpers keep in the last two whether the latest delivery's job had its
effect before, and each key that was given.
"""

KEEPS_ALL, DROPS_BEHIND, DROPS_ALL = 0, 1, 2
"""What a first delivery leaves out: nothing; what it does behind its first effect; all that it does
beside its effects.
"""

_LAST_WORD = re.compile(r"(\w+)[?!]?\s*$")

# In a run "skillrun" is a name drawn for it, FOLDER a string, BROKEN and DROPS are numbers.
# `process.getBuiltinModule` is there since Node.js 20.16; where `require` is, it does the same. Of
# a job of BullMQ its name and data are compared: attempts and times differ at each delivery. What
# cannot be written down (a getter that throws) is another job each time: no second delivery.
_JAVASCRIPT_HELPER = r"""
function skillrunFiles() {
  return typeof require === "function" ? require("fs") : process.getBuiltinModule("fs");
}
function skillrunAdd(name, line) {
  skillrunFiles().appendFileSync(FOLDER + "/" + name, line + "\n");
}
function skillrunLines(name) {
  return skillrunFiles().readFileSync(FOLDER + "/" + name, "utf8").split("\n").filter(Boolean);
}
function skillrunName(value) {
  const around = new Set();
  const plain = (key, one) => {
    if (typeof one === "bigint" || typeof one === "symbol") return String(one);
    if (typeof one !== "object" || one === null) return one;
    if (around.has(one)) return "(again)";
    around.add(one);
    return one;
  };
  try {
    return String(JSON.stringify([value], plain));
  } catch (error) {
    return "unnamed " + Math.random();
  }
}
function skillrunEnter(values) {
  const part = (one) => (one && one.data !== undefined ? [one.name, one.data] : one);
  let job;
  try {
    job = skillrunName(values.map(part));
  } catch (error) {
    job = "unnamed " + Math.random();
  }
  const entry = [String(skillrunLines("made").length), job];
  const entries = [...skillrunLines("entered").map((line) => line.split("\t")), entry];
  const isAgain = entries.slice(0, -1).some(
    (one, place) => one[1] === job && Number(entries[place + 1][0]) > Number(one[0])
  );
  skillrunAdd("entered", entry.join("\t"));
  skillrunFiles().writeFileSync(FOLDER + "/again", isAgain ? "1" : "");
}
function skillrunMade(effect, value) {
  skillrunAdd("made", skillrunLines("entered").length + "\t" + effect);
  return value;
}
function skillrunDrops(most) {
  if (DROPS === 0 || DROPS > most || skillrunLines("again").length > 0) return false;
  const entries = skillrunLines("entered");
  if (entries.length === 0) return false;
  return DROPS === 2 || skillrunLines("made").length > Number(entries.at(-1).split("\t")[0]);
}
function skillrunDecide(number, value, other) {
  if (skillrunLines("again").length === 0) return value;
  skillrunAdd("decided", String(number));
  return BROKEN === number ? other(value) : value;
}
function skillrunIf(number, value) {
  return skillrunDecide(number, value, (decided) => !decided);
}
function skillrunKey(number, value) {
  const given = skillrunName([number, value]);
  const wasGiven = skillrunLines("keys").includes(given);
  skillrunAdd("keys", given);
  return wasGiven ? skillrunDecide(number, value, (key) => String(key) + "-another") : value;
}
"""
_RUBY_HELPER = r"""
module SkillrunBroken
  def self.add(name, line)
    ::File.write(FOLDER + "/" + name, line + "\n", mode: "a")
  end

  def self.lines(name)
    ::File.readlines(FOLDER + "/" + name, chomp: true)
  end

  def self.name(value)
    value.inspect.gsub(/[\t\n]/, " ")
  rescue ::StandardError
    "unnamed #{::Kernel.rand}"
  end

  def self.enter(values)
    entries = lines("entered").map { |line| line.split("\t", 2) }
    entries << [lines("made").size.to_s, name(values)]
    is_again = entries.each_cons(2).any? do |one, following|
      one[1] == entries.last[1] && following[0].to_i > one[0].to_i
    end
    add("entered", entries.last.join("\t"))
    ::File.write(FOLDER + "/again", is_again ? "1\n" : "")
  end

  def self.made(effect, value)
    add("made", "#{lines("entered").size}\t#{effect}")
    value
  end

  def self.drops(most)
    return false if DROPS == 0 || DROPS > most || lines("again").any?

    entries = lines("entered")
    return false if entries.empty?

    DROPS == 2 || lines("made").size > entries.last.to_i
  end

  def self.decide(number, value)
    return value if lines("again").empty?

    add("decided", number.to_s)
    BROKEN == number ? yield(value) : value
  end

  def self.if(number, value)
    decide(number, value) { |decided| !decided }
  end

  def self.key(number, value)
    given = name([number, value])
    was_given = lines("keys").include?(given)
    add("keys", given)
    was_given ? decide(number, value) { |key| "#{key}-another" } : value
  end
end
"""


@dataclass(frozen=True)
class BrokenGrammar:
    """How a language's files are rewritten. The texts that stand around an expression are formats
    of `number`, `effect` or `enter`.
    """

    conditions: frozenset[str]  # kinds of nodes whose field `condition` decides
    calls: frozenset[str]
    callee: str  # the field of a call with what is called
    functions: frozenset[str]
    blocks: frozenset[str]  # bodies of functions that are statements; another one is an expression
    block_start: str  # what such a body begins with
    parameters: frozenset[str]  # kinds of nodes that are a parameter's name
    keys: frozenset[str]  # kinds of nodes that name an argument
    statements: frozenset[str]  # kinds of nodes that are there for what they do
    statement_places: frozenset[str]  # kinds of nodes whose children are statements
    returns: frozenset[str]
    declared: frozenset[str]  # kinds of what stands left of an assignment that declares
    around_statement: tuple[str, str]
    around_return: tuple[str, str]
    has_one_message: bool  # the first parameter is the whole message
    around_condition: tuple[str, str]
    around_key: tuple[str, str]
    around_effect: tuple[str, str]
    enter: str  # a call; `parameters` are their names
    around_body: tuple[str, str]  # of a body that is an expression, with `enter` before it
    helper: str  # what those texts call
    first_line: str = ""
    end_mark: str = ""  # a line behind which no code stands


def find_last_name(node: SgNode) -> str:
    """`deliver` of `this.mailer.deliver`; "" where the text ends otherwise."""
    # A name stands at the end: what is before may be a chain of any length.
    match = _LAST_WORD.search(node.text()[-200:])
    if match is None:
        return ""
    return match[1]


_JAVASCRIPT = BrokenGrammar(
    conditions=frozenset({"if_statement", "ternary_expression"}),
    calls=frozenset({"call_expression"}),
    callee="function",
    functions=frozenset(
        {"function_declaration", "function_expression", "arrow_function", "method_definition"}
    ),
    blocks=frozenset({"statement_block"}),
    block_start="{",
    parameters=frozenset({"identifier", "shorthand_property_identifier_pattern"}),
    keys=frozenset({"pair", "shorthand_property_identifier"}),
    statements=frozenset({"expression_statement"}),
    statement_places=frozenset({"statement_block", "if_statement", "else_clause"}),
    returns=frozenset({"return_statement"}),
    declared=frozenset(),
    # Braces outside: an `else` behind belongs to the `if` before.
    around_statement=("{ if (!skillrunDrops(2)) { ", " } }"),
    around_return=("{ if (!skillrunDrops(1)) { ", " } return; }"),
    has_one_message=True,
    around_condition=("skillrunIf({number}, (", "))"),
    around_key=("skillrunKey({number}, (", "))"),
    # A name comes first: after a line without a semicolon a parenthesis would call what is before.
    around_effect=('skillrunMade("{effect}", ', ")"),
    enter="skillrunEnter([{parameters}])",
    around_body=("({enter}, ", ")"),
    helper=_JAVASCRIPT_HELPER,
)
_RUBY = BrokenGrammar(
    conditions=frozenset(
        {"if", "elsif", "unless", "if_modifier", "unless_modifier", "conditional"}
    ),
    calls=frozenset({"call"}),
    callee="method",
    functions=frozenset({"method", "singleton_method"}),
    blocks=frozenset({"body_statement"}),
    block_start="",
    parameters=frozenset({"identifier"}),
    keys=frozenset({"pair"}),
    statements=frozenset({"call", "assignment", "operator_assignment", "identifier"}),
    statement_places=frozenset({"body_statement", "then", "else", "block_body", "begin"}),
    returns=frozenset(),
    declared=frozenset({"identifier", "left_assignment_list"}),
    around_statement=("(", ") unless ::SkillrunBroken.drops(2)"),
    around_return=("", ""),
    has_one_message=False,
    around_condition=("::SkillrunBroken.if({number}, (", "))"),
    around_key=("::SkillrunBroken.key({number}, (", "))"),
    around_effect=('::SkillrunBroken.made("{effect}", (', "))"),
    enter="::SkillrunBroken.enter([{parameters}])",
    around_body=("({enter}; ", ")"),
    helper=_RUBY_HELPER,
    end_mark="__END__",
)
GRAMMARS: dict[str, BrokenGrammar] = {
    "javascript": _JAVASCRIPT,
    # What is added has no types, and what it stands around loses its own.
    "typescript": replace(_JAVASCRIPT, first_line="// @ts-nocheck\n"),
    "ruby": _RUBY,
}
"""Language of a job spec -> how its files are rewritten."""

TREE_SITTER = {"javascript": "javascript", "typescript": "typescript", "ruby": "ruby"}
"""Language of a job spec -> the parser's name of it; a file of TSX has a parser of its own."""
