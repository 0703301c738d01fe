"""What commands print on a terminal."""

from ubereport.cli.console import say_table
from ubereport.language.speaking import text_width


def test_columns_stand_beneath_each_other_in_every_script(capsys):
    say_table(("症例", "≥ 20 %"), (("K1", "0.0 %"), ("腰椎の症例", "38.0 %")))
    head, first, second = capsys.readouterr().out.splitlines()
    starts = {text_width(head[: head.index("≥")]), text_width(first[: first.index("0.0")])}
    assert starts == {text_width(second[: second.index("38.0")])}
