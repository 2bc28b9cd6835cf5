"""Writes clustered_mean.json: means with standard errors clustered by problem, from statsmodels.

    python make_clustered_mean.py

The error of the intercept of an ordinary least-squares fit with nothing but an intercept, cov_type "cluster" with its
usual correction for few clusters, which for one parameter is G/(G-1). Checked here against the same sum in NumPy. Made
with statsmodels 0.15.0 and NumPy 2.4.6.
"""
import json
import pathlib

import numpy as np
import statsmodels.api as sm

generator = np.random.default_rng(20261121)
cases = []
for name, sizes in (
    ("one a problem", [1] * 12), ("eight a problem", [8] * 20), ("unequal", [1, 7, 3, 2, 12, 5, 5, 1]), ("two problems", [3, 4]),
):
    clusters = [(generator.random(size) < generator.beta(0.5, 0.5)).astype(float) for size in sizes]
    if name == "unequal":
        clusters = [np.round(cluster * 300 + generator.normal(0, 40, len(cluster)), 3) for cluster in clusters]
    values = np.concatenate(clusters)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups})
    residuals = np.array([(cluster - values.mean()).sum() for cluster in clusters])
    count = len(sizes)
    by_hand = np.sqrt(count / (count - 1) * (residuals**2).sum()) / len(values)
    assert np.isclose(fit.bse[0], by_hand, rtol=1e-12), (fit.bse[0], by_hand)
    cases.append({
        "name": name, "clusters": [cluster.tolist() for cluster in clusters], "mean": float(fit.params[0]),
        "standard_error": float(fit.bse[0]),
    })
path = pathlib.Path(__file__).with_name("clustered_mean.json")
path.write_text(json.dumps(cases, indent=1) + "\n")
