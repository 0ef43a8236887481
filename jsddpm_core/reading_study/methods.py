"""What the report says of itself: methods, limitations, and the literature, in sentences for a paper."""

from __future__ import annotations

from jsddpm_core.reading_study.analysis import Analysis
from jsddpm_core.reading_study.equivalence import margin_of_d_prime
from jsddpm_core.reading_study.manifest import AnalysisPlan
from jsddpm_core.reading_study.pooled_results import pooling, unevenly_answered

LITERATURE = {
    "chakraborty": "Chakraborty DP, Winter LHL. Free-response methodology: alternate analysis and a new "
    "observer-performance experiment. Radiology 1990;174:873-881.",
    "clopper": "Clopper CJ, Pearson ES. The use of confidence or fiducial limits illustrated in the case of the "
    "binomial. "
    "Biometrika 1934;26:404-413.",
    "cohen": "Cohen J. Weighted kappa: nominal scale agreement with provision for scaled disagreement or partial "
    "credit. "
    "Psychological Bulletin 1968;70:213-220.",
    "delong": "DeLong ER, DeLong DM, Clarke-Pearson DL. Comparing the areas under two or more correlated receiver "
    "operating characteristic curves: a nonparametric approach. Biometrics 1988;44:837-845.",
    "fleiss": "Fleiss JL. Measuring nominal scale agreement among many raters. Psychological Bulletin 1971;76:378-382.",
    "gourevitch": "Gourevitch V, Galanter E. A significance test for one parameter isosensitivity functions. "
    "Psychometrika 1967;32:25-33.",
    "hautus": "Hautus MJ. Corrections for extreme proportions and their biasing effects on estimated values of d'. "
    "Behavior Research Methods, Instruments, & Computers 1995;27:46-51.",
    "hillis": "Hillis SL. A comparison of denominator degrees of freedom methods for multiple observer ROC analysis. "
    "Statistics in Medicine 2007;26:596-619.",
    "hillis-single": "Hillis SL, Berbaum KS, Metz CE. Recent developments in the Dorfman-Berbaum-Metz procedure for "
    "multireader ROC study analysis. Academic Radiology 2008;15:647-661.",
    "holm": "Holm S. A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics "
    "1979;6:65-70.",
    "krippendorff": "Krippendorff K. Computing Krippendorff's alpha-reliability. University of Pennsylvania, 2011.",
    "macmillan": "Macmillan NA, Creelman CD. Detection theory: a user's guide. 2nd ed. Lawrence Erlbaum, 2005.",
    "newcombe": "Newcombe RG. Two-sided confidence intervals for the single proportion: comparison of seven methods. "
    "Statistics in Medicine 1998;17:857-872.",
    "newcombe-area": "Newcombe RG. Confidence intervals for an effect size measure based on the Mann-Whitney "
    "statistic. "
    "Part 2: asymptotic methods and evaluation. Statistics in Medicine 2006;25:559-573.",
    "obuchowski": "Obuchowski NA. Nonparametric analysis of clustered ROC curve data. Biometrics 1997;53:567-578.",
    "or": "Obuchowski NA, Rockette HE. Hypothesis testing of diagnostic accuracy for multiple readers and multiple "
    "tests: "
    "an ANOVA approach with dependent observations. Communications in Statistics - Simulation and Computation "
    "1995;24:285-308.",
    "schuirmann": "Schuirmann DJ. A comparison of the two one-sided tests procedure and the power approach for "
    "assessing "
    "the equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics 1987;15:657-680.",
    "sun": "Sun X, Xu W. Fast implementation of DeLong's algorithm for comparing the areas under correlated receiver "
    "operating characteristic curves. IEEE Signal Processing Letters 2014;21:1389-1393.",
}

_ASKED = {
    "real": "whether a picture is real or synthetic",
    "pair": "which of two pictures side by side is the real one",
    "lesion": "whether a lesion is there, and where",
    "likert": "questions of the study's own",
}
_COUNTED = {
    "wrong": "counted as wrong answers; in ratings, as the surest wrong one",
    "middle": "counted as half right; in ratings, as the middle of the scale",
    "left-out": "left out",
}
_ENDPOINT = {"auc": "area under the ROC curve", "accuracy": "proportion correct", "d-prime": "sensitivity index d'"}


def methods(analysis: Analysis) -> tuple[list[str], list[str]]:
    """Paragraphs on what was done, and the works that they rest on."""
    plan, manifest = analysis.plan, analysis.manifest
    kinds = {item.kind for item in manifest.items}
    level = f"{100 * (1 - plan.alpha):g} %"
    asked = "; ".join(_ASKED[kind] for kind in _ASKED if kind in kinds)
    paragraphs = [
        f"{_count(len(analysis.logs), 'reader')} read {len(manifest.cases)} cases in an order of their own, fixed "
        "before "
        f"the first reading, and were asked {asked}. Manifest, cases, orders and this plan were frozen together and "
        "hashed "
        f"(SHA-256 {manifest.digest[:16]}…). Cases read a second time entered only each reader's agreement with "
        "themselves; training cases entered nothing. Answers that did not come in time were "
        f"{_COUNTED[plan.timeouts]}; "
        "agreement and questions of the study's own leave them out.",
    ]
    used = ["clopper", "newcombe", "or", "hillis", "hillis-single", "obuchowski"]
    if kinds - {"likert"}:
        paragraphs.append(
            f"For each reader, proportions are given with Clopper-Pearson and Wilson {level} intervals and an exact "
            "binomial test against guessing where as many cases of either class were answered; d' and criterion with "
            "the "
            "log-linear correction and intervals by the delta method"
            + ("; of pairs, d' is sqrt(2) z(proportion correct)" if "pair" in kinds else "")
            + (
                "; the area under the empirical ROC curve with DeLong's variance and an interval on the logit scale "
                "(where that variance is 0, Newcombe's method 5)"
                if kinds & {"real", "lesion"}
                else ""
            )
            + "."
        )
        paragraphs.append(
            "Pooled figures treat readers and cases as random: single-modality Obuchowski-Rockette analysis with "
            "Hillis' "
            "degrees of freedom; covariances over cases by DeLong's components (areas) or the delta method "
            "(proportions, "
            "d'), with pictures of one subject as one cluster. MS(R) counts as no less than the error variance minus "
            "Cov2, and areas and proportions have interval and tests on the logit scale: without the two, few readers "
            "who "
            "agree by luck reject too often; the tables hold the published form too. Where only one reader took "
            "part, the inference is about that reader."
        )
        used += ["hautus", "gourevitch", "macmillan", "delong", "sun", "newcombe-area"]
        paragraphs.append(_plan_in_words(plan))
        used += ["schuirmann"] if plan.margin is not None else []
        used += ["holm"] if plan.correction == "holm" else []
    if analysis.agreements:
        paragraphs.append(
            "Agreement with oneself is Cohen's kappa, unweighted and, of scales, with linear and quadratic weights; "
            "agreement of readers is Fleiss' kappa, over the cases that all answered, and Krippendorff's alpha, over "
            f"all; {level} percentile intervals from {plan.bootstrap} resamples of subjects (seed {plan.seed})."
        )
        used += ["cohen", "fleiss", "krippendorff"]
    if any(item.localisation is not None for item in analysis.items):
        paragraphs.append(
            "Marks of lesions are summed up by the AFROC curve: a mark within the radius of any voxel of the lesion "
            "is a "
            "hit; a mark on a case without a lesion is false; misses and unmarked cases rank below all marks. Readers' "
            "areas have percentile intervals from resampled subjects, the pooled one is treated as above."
        )
        used += ["chakraborty"]
    works = sorted(LITERATURE[name] for name in dict.fromkeys(used))
    return paragraphs, works


def _plan_in_words(plan: AnalysisPlan) -> str:
    said = f"The primary endpoint is the {_ENDPOINT[plan.primary]}, over all readers, against guessing. "
    if plan.margin is not None:
        said += (
            f"Equivalence to guessing was tested by two one-sided tests at {plan.alpha:g} within 0.5 ± {plan.margin:g}"
            + (f" (of d': within ± {margin_of_d_prime(plan.margin):.3f})" if plan.primary == "d-prime" else "")
            + f", which is the {100 * (1 - 2 * plan.alpha):g} % interval's lying within the margin. "
        )
    else:
        said += "No margin of equivalence was set: nothing here can show that the classes are indistinguishable. "
    family = ", ".join(plan.family)
    if plan.correction == "none":
        return said + f"The tests of the family ({family}) were not corrected for their number."
    return said + (
        f"The tests of the family ({family}) were corrected together by {plan.correction.capitalize()}'s method at "
        f"{plan.alpha:g}; all other p values are uncorrected and describe."
    )


def limitations(analysis: Analysis) -> list[str]:
    """What a reader of the report must know before believing it."""
    said = []
    readers = len(analysis.logs)
    if readers == 1:
        said.append("There was one reader: nothing here can be carried over to other readers.")
    elif readers < 5:
        said.append(
            f"There were {readers} readers: how much readers differ is poorly known from so few, which makes pooled "
            "intervals wide, rightly. The interval of these readers alone, readers held fixed, says nothing of others."
        )
    unfinished = [f"reader-{log.slot}" for log in analysis.logs if not log.complete]
    if unfinished:
        said.append(
            f"Not finished: {', '.join(unfinished)}. What they read so far was analysed; since every order is random, "
            "the "
            "cases that are missing do not depend on the answers, unless readers stopped because of them."
        )
    main = analysis.main
    if main is not None and not main.lacking:
        few = [name for name, enters in zip(main.readings.readers, pooling(main.readings), strict=True) if not enters]
        if few:
            said.append(
                f"Too few answers to enter the pooled figures: {', '.join(few)}; the tables of each reader hold them."
            )
    broken = [f"reader-{log.slot}" for log in analysis.logs if log.problems]
    if broken:
        said.append(
            f"Something was noted of the log (the analysis said what when it ran): {', '.join(broken)}. "
            "Of a log that is damaged, the intact part was analysed."
        )
    empty = len(analysis.manifest.slots) - readers
    if empty:
        said.append(
            f"{_count(empty, 'slot')} of the plan has no answers." if empty == 1 else f"{empty} slots have no answers."
        )
    late = sum(int(item.readings.timed_out.sum()) for item in analysis.items[:1])
    if late:
        way = " Counting them as wrong pulls figures towards guessing and below, which flatters a claim of equivalence."
        said.append(
            f"{_count(late, 'first reading')} ran out of time; the table of time-outs shows the endpoint under each "
            "way of "
            "counting them." + (way if analysis.plan.timeouts == "wrong" else "")
        )
    clusters = [item.readings for item in analysis.items[:1]]
    if clusters and len(set(clusters[0].clusters.tolist())) < len(clusters[0].clusters):
        said.append("Some subjects were shown in more than one case; they are treated as clusters.")
    if not analysis.manifest.balanced:
        said.append(
            "The design is not balanced: a leaning to one answer moves the proportion correct, so that no exact test "
            "is "
            "given, and the pooled proportion is the mean of sensitivity and specificity."
        )
    elif main is not None and unevenly_answered(main.readings):
        said.append(
            "Not every reader answered as many cases of either class: the pooled proportion is the mean of both "
            "classes'."
        )
    said.append(
        "Synthetic pictures are treated as independent draws of the generator; the inference is about the generator "
        "and "
        "the population that the real cases stand for, in the sampling that the manifest describes."
    )
    said.append("Figures by pathology and position rest on few cases each, and many of them are looked at.")
    if any(item.localisation is not None for item in analysis.items):
        said.append("A case takes one mark: of several lesions in a picture, hitting any one counts.")
    return said


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
