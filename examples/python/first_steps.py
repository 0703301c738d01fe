"""First steps in Python: analyze a recording, look at its numbers, read a library.

Run it with a recording and a folder: python first_steps.py case.mp4 results
"""

import sys

import ubereport

recording, results = sys.argv[1:3]

# %% One case; a second run finds it done.
case = ubereport.analyze(recording, out=results, rate=1.0)
print(case)
for flag in case.flags:
    print(flag.level, flag.message)

# %% Every number says what it rests on; None with a reason is not zero.
share = case.metrics["impaired_share_20"]
print("view obscured >= 20 %:", share.value, share.reason, "coverage:", share.coverage_frac)

# %% Tables for pandas.
series, events = case.series.to_pandas(), case.events.to_pandas()
print(series.loc[series["is_valid"], "area_frac"].describe())
print(events[["onset_s", "clear_s", "peak_area_frac", "is_censored"]])

# %% All cases of a folder.
library = ubereport.read_library(results)
print(library.to_pandas()[["case_id", "coverage_frac", "impaired_share_20"]])

# %% What the network says of a single picture.
model = ubereport.load_model()
print(model, "-", model.limits)
