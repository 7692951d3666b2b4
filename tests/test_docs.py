"""The pages that people read: links, files, tests and commands that they name exist, and lines wrap."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import yaml

from harness import plugins
from harness.cli import cli

ROOT = Path(__file__).parent.parent
WIDTH = 120  # characters of a line; tables and code may be longer
GENERATED = {f"docs/{name}.md" for name in ("learning-table", "precision", "repo-failure", "repo-helps", "repo-stress")}
GENERATED |= {"docs/founding-normal.md", "docs/founding-t.md"}
PAGES = [path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"))]
WRITTEN = sorted(set(PAGES) - GENERATED)
CODE = re.compile(r"^```.*?^```", re.M | re.S)
BLOCK = re.compile(r"<!-- \w+: begin -->.*?<!-- \w+: end -->", re.S)
OUTPUT = re.compile(r"^\*\*dmc/.*?^The agent learns", re.M | re.S)  # tables that the README quotes


def text(page):
    return (ROOT / page).read_text()


def commands(content):
    """Every `dreamproof ...` of a page as words: lines of code blocks, and code in sentences."""
    blocks = [line for block in CODE.findall(content) for line in block.split("\n")]
    quoted = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", CODE.sub("", content))]
    for line in (*blocks, *quoted):
        for command in re.split(r"&&|;|(?:^|\s)#", line):
            if command.strip().startswith("dreamproof "):
                yield shlex.split(command)[1:]


@pytest.mark.parametrize("page", WRITTEN)
def test_lines_wrap(page):
    prose = OUTPUT.sub("", BLOCK.sub("", CODE.sub("", text(page))))
    long = [line for line in prose.split("\n") if len(line) > WIDTH and not line.startswith(("|", "    "))]
    assert prose.strip() and not long


@pytest.mark.parametrize("page", WRITTEN)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text(page))
    missing = [t for t in targets if not t.startswith("https://") and not (ROOT / page).parent.joinpath(t).exists()]
    assert not missing


@pytest.mark.parametrize("page", WRITTEN)
def test_files_that_are_named_exist(page):
    named = re.findall(r"`((?:agents|harness|ablations|results|slurm|tests|figures)/[\w/.*-]+)(?:::\w+)?`", text(page))
    named += re.findall(r"(?<![\w/])(tests/\w+\.py)", text(page))
    assert not [name for name in named if not list(ROOT.glob(name.rstrip("/")))]


@pytest.mark.parametrize("page", WRITTEN)
def test_tests_that_are_named_exist(page):
    for path, pattern in re.findall(r"(tests/\w+\.py) -k (\w+)", text(page)):
        names = [node.name for node in ast.walk(ast.parse(text(path))) if isinstance(node, ast.FunctionDef)]
        assert any(pattern in name for name in names), f"{path} -k {pattern}"


def command_errors(content):
    """One sentence for every verb, option, table or figure that a page names and that does not exist."""
    for verb, *words in filter(None, commands(content)):
        if not re.fullmatch(r"[a-z-]+", verb):
            continue  # VERB, a placeholder
        if verb not in cli.commands:
            yield f"no verb {verb}"
            continue
        allowed = {name for option in cli.commands[verb].params for name in (*option.opts, *option.secondary_opts)}
        options = {word.split("=")[0] for word in words if word.startswith("--")} - {"--help"}
        yield from (f"{verb} has no option {option}" for option in sorted(options - allowed))
        is_name = verb in ("table", "plot") and words and re.fullmatch(r"[a-z]+", words[0])
        if is_name and words[0] not in plugins.names(f"results.{verb}s"):
            yield f"no {verb} {words[0]}"


@pytest.mark.parametrize("page", WRITTEN)
def test_commands_exist_with_their_options(page):
    assert not list(command_errors(text(page)))


def test_the_pages_name_commands():
    assert sum(len(list(commands(text(page)))) for page in WRITTEN) > 100


def test_planted_commands_are_seen():
    page = "`dreamproof plto curves a`, `dreamproof plot curvse a`, `dreamproof table runs a --formt md`"
    assert list(command_errors(page)) == ["no verb plto", "no plot curvse", "table has no option --formt"]


def test_citation_names_the_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0" and f'version = "{citation["version"]}"' in text("pyproject.toml")


def test_commands_of_a_page_are_read():
    page = "Draw (`dreamproof plot\nprofile a`):\n```\ndreamproof check a; dreamproof list  # copies\nmake test\n```\n"
    assert list(commands(page)) == [["check", "a"], ["list"], ["plot", "profile", "a"]]
