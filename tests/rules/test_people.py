"""Rules about people: slips, codes, addresses, ИНН."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.schools import rules
from exchange.schools.rules import SlipState

NOW = datetime(2026, 9, 14, tzinfo=UTC)
LATER, BEFORE = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)


@pytest.mark.parametrize(
    ("used", "revoked", "expires", "state"),
    [
        (None, None, NOW, SlipState.OPEN),
        (None, None, BEFORE, SlipState.EXPIRED),
        (None, BEFORE, LATER, SlipState.REVOKED),
        (BEFORE, None, LATER, SlipState.USED),
        (BEFORE, None, BEFORE, SlipState.USED),
    ],
)
def test_what_a_slip_is_worth(
    used: datetime | None, revoked: datetime | None, expires: datetime, state: SlipState
) -> None:
    assert rules.slip_state(used_at=used, revoked_at=revoked, expires_at=expires, now=NOW) is state


def test_every_worthless_slip_says_why() -> None:
    assert rules.SLIP_REFUSALS.keys() == set(SlipState) - {SlipState.OPEN}


@given(st.text("0123456789", min_size=rules.CODE_DIGITS, max_size=rules.CODE_DIGITS))
def test_a_code_is_read_as_printed(digits: str) -> None:
    printed = rules.show_code(digits)
    assert rules.read_code(printed) == rules.read_code(f" {printed.replace('-', ' – ')} ") == digits


@pytest.mark.parametrize("email", ["ivanova@school.ru", "a.b+c@sub.example.org", "metod@школа.рф"])
def test_addresses_that_can_be_written_to(email: str) -> None:
    assert rules.email_is_plausible(email)


@pytest.mark.parametrize(
    "email",
    ["", "ivanova", "ivanova@school", "a b@school.ru", "a@b@school.ru", "иванова@school.ru",
     "a@school.ru\nBcc: everybody@school.ru", "a@school..ru", "<a@school.ru>", "a@school.ru, b@school.ru",
     "a@" + "b" * 200 + ".ru"],
)  # fmt: skip
def test_addresses_that_cannot(email: str) -> None:
    assert not rules.email_is_plausible(email)


def test_inn_check_digit() -> None:
    # The tax service's own ИНН; one digit changed; one digit too few; a person's twelve digits.
    assert rules.inn_is_valid("7707329152")
    assert not any(map(rules.inn_is_valid, ["7707329153", "770732915", "500100732259", "77073291 2", ""]))


@given(st.integers(0, 10**9 - 1))
def test_exactly_one_check_digit_fits(number: int) -> None:
    assert sum(rules.inn_is_valid(f"{number:09}{digit}") for digit in range(10)) == 1


def test_kpp() -> None:
    assert rules.kpp_is_valid("240301001")
    assert rules.kpp_is_valid("2403AB001")
    assert not any(map(rules.kpp_is_valid, ["24030100", "2403ab001", "240301001 ", "2403АБ001"]))


def test_roles_are_not_taken_from_oneself_nor_the_last_one() -> None:
    assert rules.may_leave_role(own=True, others=3)
    assert rules.may_leave_role(own=False, others=0)
    assert rules.may_leave_role(own=False, others=1) is None
