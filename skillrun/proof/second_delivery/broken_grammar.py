"""What is rewritten in the files of each language, so that a handler can be broken while its test
runs: decisions, keys and the calls that are effects.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ast_grep_py import SgNode

MADE, DECIDED, BROKEN = "made", "decided", "broken"
"""Files of a run: effects as they take place; decisions as a job that is delivered again meets
them; the number of the one that is broken.
"""

RECORDS = (MADE, DECIDED, BROKEN, "entered", "again", "keys")
"""All files of a run. The helpers keep in the last three: each delivery's job, whether the latest
one had its effect before, and each key that was given.
"""

_LAST_WORD = re.compile(r"(\w+)[?!]?\s*$")

# `process.getBuiltinModule` is there since Node.js 20.16; where `require` is, it does the same. Of a
# job of BullMQ its name and data are compared: attempts and times differ at each delivery.
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
function skillrunEnter(values) {
  const part = (one) => (one && one.data !== undefined ? [one.name, one.data] : one);
  const entry = { job: JSON.stringify(values.map(part)), made: skillrunLines("made").length };
  const entries = [...skillrunLines("entered").map((line) => JSON.parse(line)), entry];
  const isAgain = entries.slice(0, -1).some(
    (one, place) => one.job === entry.job && entries[place + 1].made > one.made
  );
  skillrunAdd("entered", JSON.stringify(entry));
  skillrunFiles().writeFileSync(FOLDER + "/again", isAgain ? "1" : "");
}
function skillrunMade(effect, value) {
  skillrunAdd("made", effect);
  return value;
}
function skillrunDecide(number, value, other) {
  if (skillrunLines("again").length === 0) return value;
  skillrunAdd("decided", String(number));
  return skillrunLines("broken")[0] === String(number) ? other(value) : value;
}
function skillrunIf(number, value) {
  return skillrunDecide(number, value, (decided) => !decided);
}
function skillrunKey(number, value) {
  const given = JSON.stringify([number, value]);
  const wasGiven = skillrunLines("keys").includes(given);
  skillrunAdd("keys", given);
  return wasGiven ? skillrunDecide(number, value, (key) => key + "-another") : value;
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

  def self.enter(values)
    entries = lines("entered").map { |line| line.split("\t", 2) }
    entries << [lines("made").size.to_s, values.inspect.gsub("\n", " ")]
    is_again = entries.each_cons(2).any? do |one, following|
      one[1] == entries.last[1] && following[0].to_i > one[0].to_i
    end
    add("entered", entries.last.join("\t"))
    ::File.write(FOLDER + "/again", is_again ? "1\n" : "")
  end

  def self.made(effect, value)
    add("made", effect)
    value
  end

  def self.decide(number, value)
    return value if lines("again").empty?

    add("decided", number.to_s)
    lines("broken").first == number.to_s ? yield(value) : value
  end

  def self.if(number, value)
    decide(number, value) { |decided| !decided }
  end

  def self.key(number, value)
    given = [number, value].inspect
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
    around_condition: tuple[str, str]
    around_key: tuple[str, str]
    around_effect: tuple[str, str]
    enter: str  # a call; `parameters` are their names
    around_body: tuple[str, str]  # of a body that is an expression, with `enter` before it
    helper: str  # what those texts call; FOLDER stands for a string
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
