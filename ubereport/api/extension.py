"""What an extension is written with: its metrics and the sections of its report."""

from ubereport.documents.case.extension import Section as Section
from ubereport.metrics.case_input import CaseInput as CaseInput
from ubereport.metrics.case_input import Measurement as Measurement
from ubereport.metrics.extension import metric as metric
