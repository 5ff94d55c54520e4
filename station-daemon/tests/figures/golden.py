"""Makes golden.json: the lead's statistics as scipy and statsmodels compute them.

    python3 -m venv sci && sci/bin/pip install scipy==1.17.1 statsmodels==0.15.0 numpy
    sci/bin/python station-daemon/tests/figures/golden.py > station-daemon/tests/figures/golden.json

Fisher's exact test: scipy.stats.fisher_exact, one-sided. Limits of the p-chart: a share plus and
minus three of the standard errors that statsmodels' binomial model gives for a constant share.
Moving ranges: numpy, with d2 from the range's expectation, integrated by scipy.
"""

import json
import math

import numpy as np
import scipy
import statsmodels
import statsmodels.api as sm
from scipy import integrate, stats

SEED = 20261201
random = np.random.default_rng(SEED)


def fisher():
    tables = [
        (15, 100, 6, 300), (2, 30, 0, 30), (0, 30, 5, 90), (30, 30, 1, 90), (1, 1000, 15, 15000),
        (250, 5000, 700, 75000), (3, 31, 40, 450),
    ]
    for _ in range(25):
        visits, others = int(random.integers(30, 3000)), int(random.integers(1, 40000))
        tables.append((
            int(random.binomial(visits, random.uniform(0, 0.2))), visits,
            int(random.binomial(others, random.uniform(0, 0.2))), others,
        ))
    for failed, visits, others_failed, others in tables:
        table = [[failed, visits - failed], [others_failed, others - others_failed]]
        p = stats.fisher_exact(table, alternative="greater").pvalue
        yield dict(failed=failed, visits=visits, others_failed=others_failed, others=others, p=float(p))


def p_chart():
    for _ in range(6):
        tried = random.integers(5, 400, size=12)
        failed = random.binomial(tried, random.uniform(0.005, 0.2))
        failed[0] = max(failed[0], 1)
        model = sm.GLM(
            np.column_stack([failed, tried - failed]), np.ones((12, 1)), family=sm.families.Binomial()
        ).fit()
        centre = float(1 / (1 + math.exp(-model.params[0])))
        hours = []
        for n, bad in zip(tried.tolist(), failed.tolist()):
            error = math.sqrt(stats.binom(n, centre).var()) / n
            hours.append(dict(
                tried=n, failed=bad, lower=max(0.0, centre - 3 * error), upper=min(1.0, centre + 3 * error)
            ))
        yield dict(centre=centre, hours=hours)


def times():
    # The expected range of two standard normal values.
    d2 = 2 * integrate.quad(lambda x: x * stats.norm.pdf(x / math.sqrt(2)) / math.sqrt(2), 0, np.inf)[0]
    for count in (2, 3, 17, 200):
        took = np.rint(random.normal(4400, 60, size=count)).astype(int)
        sigma = float(np.mean(np.abs(np.diff(took))) / d2)
        mean = float(np.mean(took))
        yield dict(
            took_ms=took.tolist(), takt_ms=5000.0, mean=mean, sigma=sigma,
            lower=max(0.0, mean - 3 * sigma), upper=mean + 3 * sigma, cpk_upper=(5000.0 - mean) / (3 * sigma),
        )


def lines(cases):
    """One case to a line."""
    return "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]"


made_with = dict(scipy=scipy.__version__, statsmodels=statsmodels.__version__, numpy=np.__version__, seed=SEED)
print("{")
print('"made_with":', json.dumps(made_with) + ",")
print('"fisher":', lines(fisher()) + ",")
print('"p_chart":', lines(p_chart()) + ",")
print('"times":', lines(times()))
print("}")
