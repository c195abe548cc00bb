"""Check a plan and its proof without the program that made them.

    python benchmarks/check_plan.py PROBLEM.json PLAN.json
    python benchmarks/check_plan.py PROOF.json

The problem is an instance (``textbook-exchange/1``) or the dump of one (``textbook-exchange-problem/1``); the
plan carries its certificate under ``certificate`` (docs/matching.md). The portal gives both in one file, as
``problem`` and ``plan``. Counted again are offers, needs, sets, substitutes, distances, coverage, fund,
trips, kilometres and, where fairness is asked for, what every school is served and could be; from the prices
of the certificate the bounds are worked out anew. Printed is what is proven, and what is only claimed. Ends
with 1 when something is wrong.

Nothing here comes from the program: only Python's own library, in whole numbers.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any


@dataclass
class Offer:
    """Copies of one part that a holder gives."""

    holder: int
    textbook: Any
    part: int
    copies: int
    fund: bool
    year: int = 0


@dataclass
class Want:
    """What a school lacks of a textbook: copies by part. Equal numbers of the parts make sets."""

    taker: int
    textbook: Any
    parts: dict[int, int]
    weight: int
    one_year: bool = False


@dataclass
class Market:
    """A problem, whatever it was read from. ``ways`` has (least, most) copies by (offer, want)."""

    offers: dict[Hashable, Offer]
    wants: dict[Hashable, Want]
    ways: dict[tuple[Hashable, Hashable], tuple[int, int]]
    km: dict[tuple[int, int], float | None]
    exact: set[tuple[Hashable, Hashable]] = field(default_factory=set)
    by_road: bool = False
    most_trips: dict[int, int] = field(default_factory=dict)
    smallest_parcel: int = 1
    fairness: float | None = None
    """By how much of its share a school may fall behind what the fairest plan serves it; None: no matter."""


@dataclass
class Report:
    """What came out."""

    wrong: list[str] = field(default_factory=list)
    counted: dict[str, float] = field(default_factory=dict)
    proven: list[str] = field(default_factory=list)
    claimed: list[str] = field(default_factory=list)
    bounds: dict[str, int] = field(default_factory=dict)
    schools: dict[int, tuple[int, int]] = field(default_factory=dict)
    """With fairness: the sets that each school is served, and those that it could be if it were alone."""


# --- Reading --------------------------------------------------------------------------------------


class Roads(dict):
    """Kilometres between the holders of an instance, worked out when asked for."""

    def __init__(self, instance: dict[str, Any]) -> None:
        super().__init__()
        self.instance = instance
        schools = instance["schools"]
        self.fund = len(schools)
        self.place = {school["id"]: (school["x"], school["y"]) for school in schools}
        self.place[self.fund] = self.place[0]
        if "km" not in instance:
            middle = tuple(sum(place[axis] for place in list(self.place.values())[:-1]) for axis in (0, 1))
            self.place[self.fund] = middle[0] / self.fund, middle[1] / self.fund

    def __missing__(self, pair: tuple[int, int]) -> float:
        one, other = pair
        if "km" in self.instance and self.fund not in pair:
            self[pair] = self.instance["km"][one][other] / 10
        else:
            (x, y), (u, v) = self.place[one], self.place[other]
            self[pair] = max(3, round(13.5 * ((x - u) ** 2 + (y - v) ** 2) ** 0.5)) / 10
        return self[pair]


def market_of_instance(instance: dict[str, Any]) -> Market:
    """Read an instance: offers are named ``holder:book``, wants ``taker:book`` or ``taker:book+book``."""
    book = {one["id"]: one for one in instance["books"]}
    roads = Roads(instance)
    offers: dict[Hashable, Offer] = {}
    for holder, given, copies in instance["surplus"] + [[roads.fund, *row] for row in instance["reserve"]]:
        name = f"{holder}:{given}"
        so_far = offers[name].copies if name in offers else 0
        offers[name] = Offer(
            holder,
            book[given]["work"],
            book[given]["part"],
            copies + so_far,
            holder == roads.fund,
            book[given]["year"],
        )
    lacking = {(taker, needed): [copies, weight] for taker, needed, copies, weight in instance["need"]}
    wants: dict[Hashable, Want] = {}
    books_of: dict[Hashable, list[int]] = {}
    for kit in instance["kits"]:
        for taker in range(roads.fund):
            rows = [lacking.get((taker, needed)) for needed in kit]
            if all(rows):
                sets = min(row[0] for row in rows)
                name = f"{taker}:" + "+".join(map(str, kit))
                parts = {book[needed]["part"]: sets for needed in kit}
                if sets:
                    wants[name] = Want(taker, book[kit[0]]["work"], parts, max(row[1] for row in rows))
                    books_of[name] = kit
                for row in rows:
                    row[0] -= sets
    for (taker, needed), (copies, weight) in lacking.items():
        if copies:
            name = f"{taker}:{needed}"
            wants[name] = Want(taker, book[needed]["work"], {book[needed]["part"]: copies}, weight)
            books_of[name] = [needed]
    givers: dict[int, list[str]] = defaultdict(list)
    for name in offers:
        givers[int(name.split(":")[1])].append(name)
    instead: dict[int, set[int]] = defaultdict(set)
    for given, needed, _penalty in instance["subst"]:
        instead[needed].add(given)
    ways: dict[tuple[Hashable, Hashable], tuple[int, int]] = {}
    furthest = instance.get("max_km")
    for want_name, want in wants.items():
        # A school that lacks a set takes any accepted edition of either part.
        accepted = {given for needed in books_of[want_name] for given in {needed} | instead[needed]}
        for given in accepted:
            for offer_name in givers[given]:
                offer = offers[offer_name]
                if offer.textbook != want.textbook or offer.part not in want.parts:
                    continue
                if offer.holder == want.taker:
                    continue
                if (
                    furthest is not None
                    and not offer.fund
                    and roads[offer.holder, want.taker] > furthest / 10
                ):
                    continue
                ways[offer_name, want_name] = 0, min(offer.copies, want.parts[offer.part])
    return Market(offers, wants, ways, roads)


def market_of_dump(problem: dict[str, Any]) -> Market:
    """Read the dump of a problem, and apply its hard filters."""
    controls = problem["controls"]
    km = {(one, other): length for one, other, length in problem["km"]}

    def road(one: int, other: int) -> float | None:
        return km.get((one, other), km.get((other, one)))

    year_end = date.fromisoformat(problem["year_end"])
    today = date.fromisoformat(problem["today"])
    forbidden = {tuple(pair) for pair in problem["forbidden"]}
    fixed = {(line["supply_id"], line["need_id"]): line for line in problem["fixed"]}

    def day(text: str | None) -> date | None:
        return None if text is None else date.fromisoformat(text)

    def may(supply: dict[str, Any], need: dict[str, Any]) -> bool:
        until, start, wanted = (
            day(supply["legal_until"]),
            day(supply["available_from"]),
            day(need["needed_by"]),
        )
        giver, taker = supply["holder"], need["taker"]
        next_end = year_end.replace(year=year_end.year + 1)
        length = road(giver, taker)
        too_far = problem["max_km"] is not None and (length is None or length > problem["max_km"])
        return not (
            giver == taker
            or (until is not None and until < year_end)
            or (until is not None and supply["kind"] == "permanent" and until < next_end)
            or (need["editions"] is not None and supply["edition"] not in need["editions"])
            or (need["year_from"] is not None and supply["year"] < need["year_from"])
            or supply["kind"] not in need["kinds"]
            or supply["condition"] < need["condition_from"]
            or (start is not None and wanted is not None and start > max(wanted, today))
            or giver in need["refused_by"]
            or giver in need["forbidden"]
            or (giver, taker) in forbidden
            or (supply["is_fund"] and controls["fund"] == "never")
            or (too_far and not supply["is_fund"] and giver not in need["fetched_from"])
        )

    offers: dict[Hashable, Offer] = {
        one["id"]: Offer(
            one["holder"], one["textbook"], one["part"], one["copies"], one["is_fund"], one["year"]
        )
        for one in problem["supplies"]
    }
    wants: dict[Hashable, Want] = {
        one["id"]: Want(
            one["taker"], one["textbook"], dict(map(tuple, one["parts"])), one["weight"], not one["mixing"]
        )
        for one in problem["needs"]
    }
    on_offer: dict[tuple[Any, int], list[dict[str, Any]]] = defaultdict(list)
    for supply in problem["supplies"]:
        on_offer[supply["textbook"], supply["part"]].append(supply)
    ways: dict[tuple[Hashable, Hashable], tuple[int, int]] = {}
    lengths: dict[tuple[int, int], float | None] = {}
    for need in problem["needs"]:
        for part, missing in need["parts"]:
            for supply in on_offer[need["textbook"], part]:
                key = supply["id"], need["id"]
                line = fixed.get(key)
                most = min(supply["copies"], missing) if may(supply, need) else 0
                least = line["copies"] if line else 0
                most = least if line and line["exact"] else max(most, least)
                if most:
                    ways[key] = least, most
                    lengths[supply["holder"], need["taker"]] = road(supply["holder"], need["taker"])
    return Market(
        offers,
        wants,
        ways,
        lengths,
        {key for key, line in fixed.items() if line["exact"]},
        controls["by_road"],
        dict(map(tuple, problem["most_trips"])),
        controls["smallest_parcel"],
        controls["fairness"],
    )


Lines = dict[tuple[Hashable, Hashable], int]


def lines_of(market: Market, plan: dict[str, Any], named: bool, wrong: list[str]) -> Lines:
    """Return the copies on every line. An instance's plan names books; its copies go to sets first."""
    lines: Lines = Counter()
    if not named:
        for shipment in plan["shipments"]:
            for offer, want, copies in shipment["lines"]:
                key = offer, want
                if not isinstance(copies, int) or copies < 1:
                    wrong.append(f"line {key}: {copies!r} is not a whole number of copies")
                elif offer not in market.offers or want not in market.wants:
                    wrong.append(f"line {key}: no such offer or need")
                elif (market.offers[offer].holder, market.wants[want].taker) != (
                    shipment["from"],
                    shipment["to"],
                ):
                    wrong.append(f"line {key}: not on its own trip")
                else:
                    lines[key] += copies
        return lines
    arrived: dict[tuple[int, int], list[list[Any]]] = defaultdict(list)
    for shipment in plan["shipments"]:
        for given, needed, copies in shipment["lines"]:
            offer = f"{shipment['from']}:{given}"
            if not isinstance(copies, int) or copies < 1:
                wrong.append(f"{offer} to {shipment['to']}: {copies!r} is not a whole number of copies")
            elif offer not in market.offers:
                wrong.append(f"{offer}: nothing on offer")
            else:
                arrived[shipment["to"], needed].append([offer, copies])
    for want_name, want in sorted(market.wants.items(), key=lambda item: -len(item[1].parts)):
        books = [int(one) for one in str(want_name).split(":")[1].split("+")]
        rows = {needed: arrived[want.taker, needed] for needed in books}
        sets = min(min(want.parts.values()), *(sum(copies for _, copies in some) for some in rows.values()))
        for some in rows.values():
            left = sets
            # What the set may not use is left for the single copies.
            some.sort(key=lambda row: (row[0], want_name) not in market.ways)
            for row in some:
                moved = min(left, row[1])
                if moved:
                    lines[row[0], want_name] += moved
                row[1] -= moved
                left -= moved
    for (taker, needed), rows in arrived.items():
        for offer, copies in rows:
            if copies:
                wrong.append(f"{offer} to {taker} for {needed}: {copies} copies more than needed")
    return lines


# --- Counting again -------------------------------------------------------------------------------


def sets_of(want: Want, received: dict[int, int]) -> tuple[int, Counter[int]]:
    """Return the complete sets and the copies used up by them, set by set, those of most parts first."""
    left = Counter(received)
    used: Counter[int] = Counter()
    sets = 0
    for level in range(1, max(want.parts.values(), default=0) + 1):
        parts = [part for part, missing in want.parts.items() if missing >= level]
        if all(left[part] for part in parts):
            sets += 1
            for part in parts:
                left[part] -= 1
                used[part] += 1
    return sets, used


def count(market: Market, lines: Lines, report: Report) -> None:
    """Check that the lines can stand, and count what they come to."""
    wrong = report.wrong
    given: Counter[Hashable] = Counter()
    received: dict[Hashable, Counter[int]] = defaultdict(Counter)
    years: dict[Hashable, set[int]] = defaultdict(set)
    trips: Counter[tuple[int, int]] = Counter()
    fund = 0
    for (offer_name, want_name), copies in lines.items():
        offer, want = market.offers[offer_name], market.wants[want_name]
        if (offer_name, want_name) not in market.ways:
            wrong.append(f"line {offer_name} to {want_name}: not allowed")
        given[offer_name] += copies
        received[want_name][offer.part] += copies
        years[want_name].add(offer.year)
        trips[offer.holder, want.taker] += copies
        fund += copies * offer.fund
    wrong += [
        f"offer {name}: {copies} given of {market.offers[name].copies}"
        for name, copies in given.items()
        if copies > market.offers[name].copies
    ]
    held: dict[Hashable, Counter[int]] = defaultdict(Counter)
    held_trips = set()
    for key, (least, _) in market.ways.items():
        copies = lines.get(key, 0)
        if copies < least or (key in market.exact and copies != least):
            wrong.append(f"fixed line {key}: {copies} of {least}")
        if least:
            held[key[1]][market.offers[key[0]].part] += least
            held_trips.add((market.offers[key[0]].holder, market.wants[key[1]].taker))
    weight = 0
    served: Counter[int] = Counter()
    for name, parts in received.items():
        want = market.wants[name]
        sets, used = sets_of(want, parts)
        weight += want.weight * sets
        served[want.taker] += sets
        for part, copies in parts.items():
            if copies > want.parts.get(part, 0):
                wrong.append(f"need {name}, part {part}: {copies} sent, {want.parts.get(part, 0)} missing")
            if copies > max(used[part], held[name][part]):
                wrong.append(f"need {name}, part {part}: {copies} sent, {used[part]} complete a set")
        if want.one_year and not held[name] and len(years[name]) > 1:
            wrong.append(f"need {name}: books of the years {sorted(years[name])}")
    wrong += [
        f"trip {pair}: {copies} copies are less than the smallest parcel"
        for pair, copies in trips.items()
        if copies < market.smallest_parcel and pair not in held_trips
    ]
    by_giver = Counter(giver for giver, _ in trips)
    held_by_giver = Counter(giver for giver, _ in held_trips)
    wrong += [
        f"giver {giver}: {by_giver[giver]} trips of at most {most}"
        for giver, most in market.most_trips.items()
        if by_giver[giver] > max(most, held_by_giver[giver])
    ]
    possible = {(market.offers[one].holder, market.wants[other].taker) for one, other in market.ways}
    lengths = [market.km[pair] or 0.0 for pair in trips if pair in possible]
    report.counted = {
        "covered_weight": weight,
        "fund": fund,
        "trips": len(trips),
        "km": sum(lengths),
        "hundreds_of_metres": sum(round(10 * length) for length in lengths),
    }
    if market.fairness is not None:
        could = serveable(market)
        report.schools = {school: (served[school], most) for school, most in sorted(could.items()) if most}
        shares = [sets / most for sets, most in report.schools.values()]
        report.counted["worst_served"] = min(shares, default=1.0)


def serveable(market: Market) -> Counter[int]:
    """Return the most sets that each school could have, if all that may serve a need went to it alone."""
    ways_of: dict[Hashable, list[tuple[Offer, int, int]]] = defaultdict(list)
    for (offer_name, want_name), (least, most) in market.ways.items():
        ways_of[want_name].append((market.offers[offer_name], least, most))
    could: Counter[int] = Counter()
    for name, want in market.wants.items():
        ways = ways_of[name]
        choices = [{offer.year for offer, _, _ in ways}]
        if want.one_year:
            # What is fixed settles the year; else the best one counts.
            fixed = {offer.year for offer, least, _ in ways if least}
            choices = [fixed] if fixed else [{year} for year in choices[0]]
        could[want.taker] += max(
            (sets_of(want, arriving(want, ways, years))[0] for years in choices), default=0
        )
    return could


def arriving(want: Want, ways: Iterable[tuple[Offer, int, int]], years: set[int]) -> dict[int, int]:
    """Return the copies by part that a need gets of these years if nobody else gets any."""
    found: Counter[int] = Counter()
    for offer, _, most in ways:
        if offer.year in years:
            found[offer.part] = min(want.parts[offer.part], found[offer.part] + most)
    return found


# --- The bounds again -----------------------------------------------------------------------------


def bound_of(market: Market, proof: dict[str, Any], scale: int) -> int:
    """Work out what the prices of a proof prove.

    Whoever breaks a demand pays the price; then offers, layers of sets and trips are decided alone, each at
    its cheapest. No plan costs less than the sum.
    """
    goal = proof["goal"]
    paid = {(need, part): price for need, part, price in proof["needs"]}
    share = {(offer, need): price for offer, need, price in proof["links"]}
    per_set, per_copy = proof["per_set"], proof["per_fund_copy"]
    if not all(isinstance(price, int) for price in (per_set, per_copy, *paid.values(), *share.values())):
        raise ValueError("a price that is no whole number")
    if min(per_set, per_copy, *share.values(), 0) < 0:
        raise ValueError("a price below nothing")
    if proof["fund"] is None and per_copy:
        raise ValueError("a price on the fund without a number of copies")
    if goal == "coverage" and (per_set, per_copy, proof["weight"], bool(share)) != (scale, 0, 0, False):
        raise ValueError("coverage is priced at its weight and nothing else")
    total = per_set * proof["weight"] - per_copy * (proof["fund"] or 0)
    if goal == "fund":
        per_copy += scale

    # Offers: each copy goes where it earns the most, and stays where nothing is earned.
    earning: dict[Hashable, list[tuple[int, int]]] = defaultdict(list)
    left = {name: offer.copies for name, offer in market.offers.items()}
    loose: Counter[tuple[Hashable, int]] = Counter()
    carried: Counter[tuple[int, int]] = Counter()
    opened = set()
    for (offer_name, want_name), (least, most) in market.ways.items():
        offer, want = market.offers[offer_name], market.wants[want_name]
        price = share.get((offer_name, want_name), 0)
        earned = paid.get((want_name, offer.part), 0) - price - per_copy * offer.fund
        total -= earned * least
        left[offer_name] -= least
        earning[offer_name].append((earned, most - least))
        loose[want_name, offer.part] += least
        carried[offer.holder, want.taker] += price * most
        if least:
            opened.add((offer.holder, want.taker))
    for name, some in earning.items():
        for earned, room in sorted(some, reverse=True):
            moved = min(room, left[name])
            if earned > 0 and moved > 0:
                total -= earned * moved
                left[name] -= moved
    # Sets: each is made where its copies cost less than it is worth.
    for name, want in market.wants.items():
        for level in range(1, max(want.parts.values(), default=0) + 1):
            cost = sum(paid.get((name, part), 0) for part, q in want.parts.items() if q >= level)
            total += min(0, cost - per_set * want.weight)
    # Fixed copies that complete no set.
    for key, copies in loose.items():
        total += copies * min(0, paid.get(key, 0))
    # Trips: each is made where its lines pay for it, or where a fixed line makes it anyway.
    for pair, income in carried.items():
        cost = 0
        if goal == "trips":
            cost = scale * (round(10 * (market.km[pair] or 0)) if market.by_road else 1)
        total += cost - income if pair in opened else min(0, cost - income)
    return -total // scale if goal == "coverage" else max(0, -(-total // scale))


def weigh(market: Market, certificate: dict[str, Any], report: Report) -> None:
    """Hold every proof against the plan."""
    counted = report.counted
    unit = "units of 100 m of road" if market.by_road else "trips"
    words = {"coverage": "weighted coverage", "fund": "copies from the fund", "trips": unit}
    scale = certificate["scale"]
    if type(scale) is not int or scale < 1:
        report.wrong.append(f"prices in parts of {scale!r}")
        return
    if certificate["by_road"] != market.by_road:
        report.wrong.append("the certificate counts trips in another way than the problem")
    for proof in certificate["proofs"]:
        goal = proof["goal"]
        own = {
            "coverage": counted["covered_weight"],
            "fund": counted["fund"],
            "trips": counted["hundreds_of_metres"] if market.by_road else counted["trips"],
        }[goal]
        try:
            bound = bound_of(market, proof, scale)
        except ValueError as error:
            report.wrong.append(f"{goal}: {error}")
            continue
        report.bounds[goal] = bound
        if proof["reached"] != own:
            report.wrong.append(f"{goal}: the certificate says {proof['reached']}, counted are {own}")
        better = proof["bound"] < bound if goal == "coverage" else proof["bound"] > bound
        if better:
            report.wrong.append(f"{goal}: the certificate says {proof['bound']}, the prices prove {bound}")
        if goal != "coverage" and counted["covered_weight"] < proof["weight"]:
            report.wrong.append(f"{goal}: the proof is for coverage {proof['weight']}, the plan has less")
        if goal == "trips" and proof["fund"] is not None and counted["fund"] > proof["fund"]:
            report.wrong.append(f"{goal}: the proof is for {proof['fund']} fund copies, the plan has more")
        if (own > bound) if goal == "coverage" else (own < bound):
            report.wrong.append(f"{goal}: {own} is better than the bound {bound}: one of them is false")
        gap = abs(own - bound)
        verdict = "nothing better exists" if not gap else f"gap {gap}, {100 * gap / max(1, own):.1f} %"
        at = "" if goal == "coverage" else f" at coverage {proof['weight']}"
        if proof["fund"] is not None:
            at += f" and at most {proof['fund']} copies from the fund"
        most = "at most" if goal == "coverage" else "at least"
        report.proven.append(f"{most} {bound} {words[goal]}{at}; the plan has {own}: {verdict}")
    claimed = certificate.get("claimed_trips")
    if claimed is not None and claimed > counted["trips"]:
        report.wrong.append(f"at least {claimed:g} trips are claimed, counted are {counted['trips']}")
    if claimed is not None and claimed > report.bounds.get("trips", 0):
        report.claimed.append(f"at least {claimed:g} {unit} (branch and cut; no prices can show it)")


def weigh_fairness(market: Market, certificate: dict[str, Any], report: Report) -> None:
    """Hold the plan to the sets that it promises to schools."""
    floors = dict(map(tuple, certificate.get("floors", ())))
    for school, floor in floors.items():
        sets, most = report.schools.get(school, (0, 0))
        if type(floor) is not int or floor > sets:
            report.wrong.append(f"school {school}: {floor!r} sets are promised, counted are {sets} of {most}")
    fairest = certificate.get("claimed_fairest")
    if market.fairness is None or fairest is None:
        if floors or fairest is not None:
            report.wrong.append("fairness is promised where the problem asks for none")
        return
    if not 0 <= fairest <= 1:
        report.wrong.append(f"the fairest plan is said to serve every school {fairest!r}")
    worst = report.counted["worst_served"]
    report.proven.append(f"{len(floors)} schools get what they are promised; the worst served {worst:.0%}")
    report.claimed.append(f"at most {fairest:.0%} for the worst served (no prices can show it)")
    if worst > fairest + 1e-9:
        report.wrong.append(
            f"the worst served school gets {worst}, at most {fairest} are claimed to be possible"
        )
    if fairest == 1 and worst < 1:
        # So many is a bound that nobody need reach.
        return
    for school, (sets, most) in report.schools.items():
        if sets < (fairest - market.fairness) * most - 1e-6:
            report.wrong.append(
                f"school {school}: {sets} of {most} sets, more than {market.fairness} behind {fairest}"
            )


def verify(problem: dict[str, Any], plan: dict[str, Any]) -> Report:
    """Check a plan, and its certificate where it has one, against its problem."""
    named = problem["format"] == "textbook-exchange/1"
    market = market_of_instance(problem) if named else market_of_dump(problem)
    report = Report()
    seen = Counter((shipment["from"], shipment["to"]) for shipment in plan["shipments"])
    report.wrong += [f"trip {pair} is there twice" for pair, times in seen.items() if times > 1]
    report.wrong += [
        f"trip {shipment['from']} to {shipment['to']} is empty"
        for shipment in plan["shipments"]
        if not shipment["lines"]
    ]
    count(market, lines_of(market, plan, named, report.wrong), report)
    for name, counted in report.counted.items():
        said = plan.get(name)
        if said is not None and abs(said - counted) > 1e-6 * (name == "km") * max(1.0, counted):
            report.wrong.append(f"{name}: the plan says {said}, counted are {counted}")
    if "certificate" in plan:
        weigh(market, plan["certificate"], report)
        weigh_fairness(market, plan["certificate"], report)
    for name, goal, sign in (("covered_weight", "coverage", 1), ("trips", "trips", -1)):
        said = plan.get("bound", {}).get(name)
        if said is None:
            continue
        if sign * said < sign * report.counted[name]:
            report.wrong.append(f"{name}: {report.counted[name]} is better than the bound {said}")
        if goal not in report.bounds or sign * said < sign * report.bounds[goal]:
            claim = f"{name}: a bound of {said:g}"
            report.claimed.append(claim)
    return report


def main(arguments: Iterable[str]) -> int:
    """Check the plan that the arguments name, and print what came out."""
    read = [json.loads(Path(name).read_text(encoding="utf-8")) for name in arguments]
    problem, plan = read if len(read) > 1 else (read[0]["problem"], read[0]["plan"])
    report = verify(problem, plan)
    counted = report.counted
    print(
        f"counted: weighted coverage {counted['covered_weight']}, {counted['fund']} copies from the fund, "
        f"{counted['trips']} trips, {counted['km']:.1f} km"
    )
    for title, rows in (("proven", report.proven), ("only claimed", report.claimed), ("WRONG", report.wrong)):
        for row in rows:
            print(f"{title}: {row}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: check_plan.py PROBLEM.json PLAN.json, or check_plan.py PROOF.json")
    sys.exit(main(sys.argv[1:]))
