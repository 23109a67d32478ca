"""Claims are read exactly, and judged as a paired t interval over seeds judges them."""

import itertools
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from ablation_studies import FD, PROTOCOL, labels_of, searched, study, value
from scipy.special import stdtrit

from genexp.ablations.report.claims import parse_claim
from genexp.ablations.report.study import Claim, Term
from genexp.ablations.report.values import best_settings
from genexp.ablations.report.verdicts import POWER, judge, judge_all, seeds_needed
from genexp.ablations.report.wording import RULE, rule_text, verdict_parts
from genexp.reports.columns import MixedProtocols

AXES = {"eta": ["0", "1"], "steps": ["10", "20", "1e3"], "penalty": ["none", "r1"]}
PAIR = {"eta": ["0", "1"]}


@pytest.mark.parametrize(
    ("text", "left", "relation", "right"),
    [
        (
            "fd[eta=0,steps=10] < fd[eta=1,steps=10]",
            Term("fd", (("eta", "0"), ("steps", "10"))),
            "<",
            Term("fd", (("eta", "1"), ("steps", "10"))),
        ),
        (
            "recall[eta=0] > 0.9 * recall[eta=1]",
            Term("recall", (("eta", "0"),)),
            ">",
            Term("recall", (("eta", "1"),), 0.9),
        ),
        ("modes[penalty=r1]>7.5", Term("modes", (("penalty", "r1"),)), ">", Term(None, (), 7.5)),
        ("val/kl[ steps = 1e3 ] < 1e-1", Term("val/kl", (("steps", "1e3"),)), "<", Term(None, (), 0.1)),
        ("2 > fd", Term(None, (), 2.0), ">", Term("fd")),
        ("fd[steps=10,eta=0] < 1", Term("fd", (("eta", "0"), ("steps", "10"))), "<", Term(None, (), 1.0)),
        ("1.5*fd < fd[eta=1]", Term("fd", (), 1.5), "<", Term("fd", (("eta", "1"),))),
    ],
)
def test_a_claim_is_two_terms_and_a_relation(text, left, relation, right):
    assert parse_claim(text, AXES, "Table 1") == Claim(text, left, relation, right, "Table 1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fd[etaa=0] < 1", r"name axes \(eta, steps, penalty\), got etaa in .*; did you mean eta\?"),
        ("fd[penalty=nome] < 1", r"name values of penalty \(none, r1\), got nome in .*; did you mean none\?"),
        ("fd[eta=0.0] < 1", r"name values of eta \(0, 1\), got 0.0 in .*; did you mean 0\?"),
        ("fd[steps=1000] < 1", r"did you mean 1e3\?"),
        ("fd[penalty=qqq] < 1", r"got qqq in 'fd\[penalty=qqq\] < 1'$"),
        ("fd[eta=0]", "one relation, < or >, between two sides, got none"),
        ("fd[eta=0] <= 1", "got <="),
        ("1 < fd < 2", "got < and <"),
        ("1 < 2", "numbers on both"),
        ("fd < fd", "the same twice"),
        ("fd[eta] < 1", "brackets in a claim must hold axis=value, got 'eta'"),
        ("fd[] < 1", "brackets in a claim must hold axis=value, got ''"),
        ("fd[eta=0,eta=1] < 1", "got eta twice"),
        ("fd * 2 < 1", r"got 'fd \* 2'"),
        ("fd <", "got nothing"),
    ],
)
def test_what_is_no_claim_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        parse_claim(text, AXES)


def simulated(gap, seeds, trial, spread=1.0, shared=5.0):
    """A study whose true difference is `gap`; seeds move both variants together by far more."""
    random.seed(1000 * seeds + trial)
    common = {seed: random.gauss(0, shared) for seed in range(seeds)}

    def numbers(place, seed):
        return 20 + common[seed] + gap * (place["eta"] == "1") + random.gauss(0, spread / math.sqrt(2))

    return study(PAIR, numbers, range(seeds), ["fd[eta=0] < fd[eta=1]"])


def verdicts(gap, seeds, trials, **more):
    found = [judge(each.claims[0], each) for each in (simulated(gap, seeds, n, **more) for n in range(trials))]
    return [each.verdict for each in found]


def test_a_claim_without_a_difference_stays_undecided_in_95_of_100_studies():
    trials = 1500
    found = verdicts(0.0, 4, trials)
    error = math.sqrt(0.95 * 0.05 / trials)
    assert found.count("undecided") / trials == pytest.approx(0.95, abs=4 * error)
    assert found.count("holds") / trials == pytest.approx(0.025, abs=4 * error)
    assert found.count("fails") / trials == pytest.approx(0.025, abs=4 * error)


def test_a_true_claim_holds_and_its_reverse_fails():
    right, wrong = verdicts(6.0, 4, 200), verdicts(-6.0, 4, 200)
    assert right.count("holds") >= 195
    assert "fails" not in right
    assert wrong.count("fails") >= 195
    assert "holds" not in wrong


def test_seeds_that_move_both_sides_together_do_not_hide_a_difference():
    assert verdicts(3.0, 6, 50, spread=0.5, shared=100.0).count("holds") == 50


def test_numbers_of_a_verdict_agree_with_scipy():
    from scipy import stats

    for gap, seeds in itertools.product((0.3, -2.0), (2, 3, 7)):
        each = simulated(gap, seeds, 5)
        left = [v.value for v in each.values if v.labels == (("eta", "0"),)]
        right = [v.value for v in each.values if v.labels == (("eta", "1"),)]
        verdict, test = judge(each.claims[0], each), stats.ttest_rel(left, right)
        interval = test.confidence_interval(0.95)
        assert verdict.interval == pytest.approx((interval.low, interval.high))
        assert verdict.p == pytest.approx(test.pvalue)
        assert verdict.effect == pytest.approx(test.statistic / math.sqrt(seeds))
        assert (verdict.left, verdict.right) == pytest.approx((sum(left) / seeds, sum(right) / seeds))


def test_so_many_seeds_as_are_said_to_be_needed_decide_in_80_of_100_studies():
    import numpy as np
    from scipy import stats

    draw, studies = np.random.default_rng(0), 4000
    for effect in (2.0, 1.0, 0.4):
        n = seeds_needed(-effect, 1.0)
        shares = []
        for count in (n - 1, n):
            differences = draw.normal(effect, 1, (studies, count))
            shares.append(
                float((stats.ttest_1samp(differences, 0, axis=1, alternative="greater").pvalue < 0.025).mean())
            )
        error = 4 * math.sqrt(POWER * (1 - POWER) / studies)
        assert shares[0] < POWER + error
        assert shares[1] > POWER - error
        assert stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, math.sqrt(n) * effect) >= POWER
        assert stats.nct.sf(stats.t.ppf(0.975, n - 2), n - 2, math.sqrt(n - 1) * effect) < POWER
    assert seeds_needed(0.0, 1.0) is None


def test_seeds_needed_fall_with_the_effect_over_its_whole_range():
    effects = [10 ** (each / 40) for each in range(-100, 121)]
    found = [seeds_needed(each, 1.0) for each in effects]
    assert found == sorted(found, reverse=True)
    assert found[-1] == 2
    for effect, n in zip(effects, found, strict=True):
        normal = ((1.959964 + 0.841621) / effect) ** 2
        assert normal <= n <= normal + 6
    assert seeds_needed(1e-6, 1.0) is None


def test_an_open_claim_says_how_many_seeds_would_decide_and_which_way():
    each = simulated(0.1, 3, 1)
    verdict = judge(each.claims[0], each)
    assert verdict.verdict == "undecided"
    way = "for" if verdict.difference < 0 else "against"
    assert f"{verdict.seeds_needed:,} seeds would decide {way} the claim with a chance of 80 %" in verdict.reason
    other = judge(parse_claim("fd[eta=0] > fd[eta=1]", PAIR), each)
    assert f"would decide {'against' if way == 'for' else 'for'} the claim" in other.reason


def test_axes_that_are_not_named_are_averaged_over_and_factors_multiply():
    axes = {"eta": ["0", "1"], "steps": ["10", "20"]}
    each = study(axes, lambda place, seed: float(place["steps"]) + 2 * float(place["eta"]) + 0.1 * seed)
    verdict = judge(parse_claim("0.5 * fd[eta=1] > fd[steps=10]", axes), each)
    assert (verdict.left, verdict.right) == pytest.approx((8.55, 11.1))
    assert judge(parse_claim("fd < 20", axes), each).left == pytest.approx(16.1)


def test_the_relation_and_the_side_of_a_number_decide_alone():
    each = study(PAIR, lambda place, seed: 5 + 0.1 * seed)
    expected = {"fd < 6": "holds", "fd > 6": "fails", "6 > fd": "holds", "6 < fd": "fails", "fd < 5.1": "undecided"}
    assert {text: judge(parse_claim(text, PAIR), each).verdict for text in expected} == expected


def test_one_seed_decides_nothing():
    each = simulated(100.0, 1, 0)
    verdict = judge(each.claims[0], each)
    assert (verdict.verdict, verdict.interval, verdict.p) == ("undecided", None, None)
    assert verdict.difference == pytest.approx(-100, abs=5)
    assert "one seed has no spread" in verdict.reason


def test_only_seeds_with_all_values_count_and_the_others_are_named():
    lost = {("0", 1), ("1", 3)}

    def numbers(place, seed):
        return None if (place["eta"], seed) in lost else 5 * float(place["eta"]) + 0.1 * seed * float(place["eta"])

    each = study(PAIR, numbers, range(5), ["fd[eta=0] < fd[eta=1]"])
    verdict = judge(each.claims[0], each)
    assert (verdict.verdict, verdict.seeds) == ("holds", (0, 2, 4))
    assert verdict.reason == "missing: fd of eta=0 at seed 1; missing: fd of eta=1 at seed 3"
    none = study(PAIR, lambda place, seed: 1.0 if float(place["eta"]) == seed % 2 else None, range(2))
    verdict = judge(each.claims[0], none)
    assert (verdict.verdict, verdict.seeds) == ("undecided", ())
    assert "missing: fd of eta=0 at seed 1" in verdict.reason


def test_a_value_that_is_no_number_leaves_the_claim_open_and_is_named():
    each = study(PAIR, lambda place, seed: math.inf if (place["eta"], seed) == ("1", 2) else float(place["eta"]) + seed)
    verdict = judge(parse_claim("fd[eta=0] < fd[eta=1]", PAIR), each)
    assert verdict.verdict == "undecided"
    assert "no finite number: fd of eta=1 at seed 2" in verdict.reason


def test_equal_differences_are_left_to_the_sign_test_which_takes_six():
    for seeds, expected in ((3, "undecided"), (5, "undecided"), (6, "holds")):
        each = study(PAIR, lambda place, seed: 0.1 * seed + 0.3 * float(place["eta"]), range(seeds))
        verdict = judge(parse_claim("fd[eta=0] < fd[eta=1]", PAIR), each)
        assert (verdict.verdict, verdict.p, verdict.effect) == (expected, 2 * 0.5**seeds, None)
        assert f"the same at all {seeds} seeds" in verdict.reason
    equal = judge(parse_claim("fd[eta=0] < fd[eta=1]", PAIR), study(PAIR, lambda place, seed: 0.1 * seed))
    assert (equal.verdict, equal.seeds_needed) == ("undecided", None)
    assert "equal at all 3 seeds" in equal.reason


def test_names_without_values_and_settings_of_other_scales_are_said():
    each = study(PAIR, lambda place, seed: seed + 1.0)
    assert "no values of fdd (is fd meant?)" in judge(parse_claim("fdd < 1", PAIR), each).reason
    wider = {"eta": ["0", "1", "2"]}
    assert "eta=2 is not measured at scale cpu" in judge(parse_claim("fd[eta=2] < 1", wider), each).reason


def test_a_search_counts_with_the_setting_that_is_best_on_average():
    each = searched()
    values = {(v.labels, v.seed): v.value for v in each.values}
    verdict = judge(parse_claim("fd[penalty=none] > 3", each.axes), each)
    means = [
        sum(values[(("penalty", "none"), ("lr", rate)), seed] for seed in each.seeds) / len(each.seeds)
        for rate in each.axes["lr"]
    ]
    assert verdict.left == pytest.approx(min(mean for mean in means if not math.isnan(mean)))
    assert judge(each.claims[0], each).verdict == "holds"
    fixed = judge(parse_claim("fd[penalty=r1,lr=1e-2] > 10", each.axes), each)
    assert fixed.left == pytest.approx(sum(values[(("penalty", "r1"), ("lr", "1e-2")), s] for s in each.seeds) / 4)


def without_effect(seeds, trial, settings):
    """A study whose first arm has one good setting and the second five that are equally good: no best is better."""
    random.seed(7000 * seeds + trial)
    common = {seed: random.gauss(0, 1) for seed in range(seeds)}

    def numbers(place, seed):
        bad = 9.0 * (place["eta"] == "0" and place["lr"] != "1")
        return 50 + bad + common[seed] + random.gauss(0, 1)

    axes = {"eta": ["0", "1"], "lr": [str(n) for n in range(1, settings + 1)]}
    return study(axes, numbers, range(seeds), ["fd[eta=0] < fd[eta=1]"], search="lr")


@pytest.mark.parametrize(("seeds", "settings"), [(3, 5), (6, 5), (6, 2)])
def test_a_search_without_an_effect_is_decided_in_at_most_five_of_a_hundred_studies(seeds, settings):
    """The seeds that choose a setting flatter it: an uncorrected test decides 7 to 9 in a hundred with five."""
    decided = uncorrected = 0
    for trial in range(400):
        each = without_effect(seeds, trial, settings)
        verdict = judge(each.claims[0], each)
        decided += verdict.verdict != "undecided"
        uncorrected += verdict.p / verdict.choices < 0.05 and verdict.p < 1
    assert verdict.choices == settings**2
    assert decided <= 0.05 * 400
    assert decided <= uncorrected


def test_p_interval_and_seeds_of_a_searched_claim_are_those_of_all_choices_at_once():
    each = searched()
    searching, fixed = (
        judge(parse_claim(text, each.axes), each)
        for text in ("fd[penalty=r1] < fd[penalty=gradient]", "fd[penalty=r1,lr=1e-3] < fd[penalty=gradient,lr=1e-3]")
    )
    assert best_settings(each) == dict.fromkeys(best_settings(each), "1e-3")
    assert searching.differences == fixed.differences
    assert (searching.choices, fixed.choices) == (25, 1)
    assert searching.p == pytest.approx(min(1, 25 * fixed.p))
    ratio = stdtrit(3, 1 - 0.05 / 50) / stdtrit(3, 0.975)
    widths = [high - low for low, high in (searching.interval, fixed.interval)]
    assert widths[0] == pytest.approx(ratio * widths[1])
    assert searching.seeds_needed > fixed.seeds_needed
    assert judge(parse_claim("fd[penalty=r1] < 100", each.axes), each).choices == 5
    assert judge(parse_claim("fd < 100", each.axes), each).choices == 125
    assert judge(parse_claim("fd[penalty=r1] < 2 * fd[penalty=r1,lr=1e-2]", each.axes), each).choices == 5
    assert "for all 25 choices of settings at once" in ", ".join(verdict_parts(searching))
    assert "choices" not in ", ".join(verdict_parts(fixed))
    assert "p is multiplied by m" in rule_text(each)
    assert rule_text(replace(each, search=None)) == RULE


def test_the_seeds_that_a_level_needs_decide_at_that_level():
    """By simulation: the number named for 0.05 / 25 decides in about 80 of 100 cases, one seed less in fewer."""
    needed = seeds_needed(1.0, 0.7, 0.05 / 25)
    draws = np.random.default_rng(0).normal(1.0, 0.7, (20_000, needed))

    def power(n):
        some = draws[:, :n]
        return (some.mean(1) / (some.std(1, ddof=1) / n**0.5) > stdtrit(n - 1, 1 - 0.05 / 50)).mean()

    assert power(needed - 1) < 0.8 < power(needed) + 0.01


def test_a_search_takes_the_largest_where_more_is_better_and_the_nearest_where_real_images_are_the_aim():
    axes = {"lr": ["a", "b", "c"]}
    level = {"a": 1.0, "b": 4.0, "c": 9.0}
    more = {"key": "recall/x@1", "better": "higher", "search": "lr"}
    each = study(axes, lambda place, seed: level[place["lr"]] + 0.01 * seed, **more)
    assert judge(parse_claim("recall > 8", axes), each).left == pytest.approx(9.01)
    aimed = replace(each, values=[replace(v, better="reference", floor=3.5) for v in each.values])
    assert judge(parse_claim("recall > 8", axes), aimed).left == pytest.approx(4.01)
    aimless = study(axes, lambda place, seed: 1.0 + seed, key="val/odd", better=None, search="lr")
    with pytest.raises(ValueError, match="known direction, got val/odd"):
        judge(parse_claim("val/odd < 1", axes), aimless)


def test_settings_of_a_search_are_compared_over_the_seeds_that_have_them_all():
    whole = searched()
    assert best_settings(whole)[("penalty", "r1"),] == "1e-3"
    worse = {(each, seed): 100.0 for each in ("1e-4", "3e-4", "3e-3", "1e-2") for seed in (0, 1, 3)}
    worse |= {("1e-4", 2): -1000.0}

    def odd(each):
        place = dict(each.labels)
        wanted = place["penalty"] == "r1" and (place["lr"], each.seed) in worse
        return replace(each, value=worse[place["lr"], each.seed]) if wanted else each

    lost = searched(lost={("r1", "1e-2", 2)})
    each = replace(lost, values=[odd(one) for one in lost.values])
    assert best_settings(each)[("penalty", "r1"),] == "1e-3"  # seed 2 alone would take 1e-4
    assert judge(each.claims[0], each).seeds == (0, 1, 2, 3)


@pytest.mark.parametrize("field", ["n_generated", "extractor_digest"])
def test_values_of_two_protocols_are_not_mixed(field):
    each = study(PAIR, lambda place, seed: 1.0 + seed)
    other = replace(each.values[0], protocol=PROTOCOL | {field: 7}, seed=9)
    with pytest.raises(MixedProtocols, match=rf"{field} is .* for eta=0 \(seed 0\) and 7 for eta=0 \(seed 9\)"):
        judge(parse_claim("fd < 1", PAIR), replace(each, values=[*each.values, other]))
    free = replace(each.values[0], protocol=PROTOCOL | {"sampler": "other", "weights": "raw"}, seed=9)
    assert judge(parse_claim("fd < 1", PAIR), replace(each, values=[*each.values, free])).difference is not None


def test_the_speed_of_a_sampler_in_steps_stands_beside_that_of_one_pass():
    def speed(labels, seed, own, number):
        protocol = {"sampler": "any", "weights": "averaged", "batch_size": 250, "device": "cpu", "threads": 1} | own
        return replace(value(labels, seed, number, "sampling_seconds"), protocol=protocol)

    one, other = labels_of(PAIR)[:2]
    values = [speed(one, seed, {"evaluations": 20}, 3.0 + seed / 7) for seed in range(3)]
    values += [speed(other, seed, {}, 0.1 + seed / 9) for seed in range(3)]
    each = replace(study(PAIR, lambda place, seed: 1.0), values=values)
    claim = parse_claim("sampling_seconds[eta=0] > sampling_seconds[eta=1]", PAIR)
    assert judge(claim, each).verdict == "holds"


def test_two_keys_of_one_name_are_two_protocols_and_a_full_key_chooses():
    labels = labels_of(PAIR)
    keys = ("train/loss", "val/loss", "other/one", "other/two")
    values = [value(each, seed, n + seed, key) for each in labels for seed in range(3) for n, key in enumerate(keys)]
    each = replace(study(PAIR, lambda place, seed: 1.0), values=values)
    assert judge(parse_claim("val/loss > 1", PAIR), each).left == 2
    assert judge(parse_claim("train/loss > 1", PAIR), each).left == 1
    with pytest.raises(MixedProtocols, match=r"of other, key is other/one .* and other/two"):
        judge(parse_claim("other > 1", PAIR), each)
    assert judge(parse_claim("other/two > 1", PAIR), each).left == 4


def test_a_number_that_is_there_twice_is_refused():
    each = study(PAIR, lambda place, seed: 1.0 + seed)
    with pytest.raises(ValueError, match=r"must hold one number .*, got two of fd for eta=0, seed 0"):
        judge(parse_claim("fd < 1", PAIR), replace(each, values=[*each.values, value(labels_of(PAIR)[0], 0, 3.0, FD)]))


def test_holms_correction_follows_its_definition_and_changes_no_verdict():
    texts = ["fd[eta=0] < fd[eta=1]", "fd < 100", "fd[eta=0] > 20", "fd[eta=2] < 1"]
    each = simulated(2.0, 5, 3)
    each = replace(each, claims=[parse_claim(text, {"eta": ["0", "1", "2"]}) for text in texts])
    found = judge_all(each)
    assert [v.verdict for v in found] == [judge(v.claim, each).verdict for v in found]
    ordered = sorted((v for v in found if v.p is not None), key=lambda v: v.p)
    assert len(ordered) == 3
    steps = [min(1, (3 - rank) * v.p) for rank, v in enumerate(ordered)]
    assert [v.holm for v in ordered] == pytest.approx(list(itertools.accumulate(steps, max)))
    assert found[3].holm is None
