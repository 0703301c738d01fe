"""A case as an HL7 FHIR R4 DiagnosticReport with its observations and the PDF attached."""

from __future__ import annotations

import base64
from typing import Any

from ubereport.core.case import CaseRecord
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.core.metrics import MetricValue

UCUM = "http://unitsofmeasure.org"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
METRICS = "urn:ubereport:metric"


def diagnostic_report(
    record: CaseRecord, pdf: bytes, *, is_reviewed: bool = False
) -> dict[str, Any]:
    """Return the resource; observations are contained, so that it needs no server.

    Source: HL7 FHIR R4, DiagnosticReport and Observation. The status is "preliminary": nobody has
    signed it. Each observation says by its method whether a model measured it, or a person reviewed
    what the model measured; `is_reviewed` takes the numbers after the review that the record holds.
    """
    if is_reviewed and record.review is None:
        raise ValueError("a case that nobody reviewed has no reviewed numbers")
    metrics = record.review.metrics if is_reviewed and record.review else record.metrics
    method = "measured by a model, reviewed by a person" if is_reviewed else "measured by a model"
    observations = [_observation(f"m{n}", m, method) for n, m in enumerate(metrics, start=1)]
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:ubereport:case", "value": record.case_id}],
        "contained": observations,
        "status": "preliminary",
        "code": {"text": "View obscured by blood in an endoscopic recording"},
        "subject": {"display": f"Pseudonymous case {record.case_id}"},
        "result": [{"reference": f"#{o['id']}"} for o in observations],
        "conclusion": DISCLAIMER,
        "presentedForm": [
            {
                "contentType": "application/pdf",
                "language": "en",
                "data": base64.b64encode(pdf).decode("ascii"),
                "title": "Case report",
            }
        ],
    }


def _observation(identifier: str, metric: MetricValue, method: str) -> dict[str, Any]:
    observation: dict[str, Any] = {
        "resourceType": "Observation",
        "id": identifier,
        "status": "preliminary",
        "code": {"coding": [{"system": METRICS, "code": metric.key}]},
        "method": {"text": method},
    }
    if metric.value is None:
        observation["dataAbsentReason"] = {
            "coding": [{"system": ABSENT, "code": "not-applicable"}],
            "text": metric.reason,
        }
    else:
        observation["valueQuantity"] = {
            "value": metric.value,
            "unit": metric.unit,
            "system": UCUM,
            "code": metric.unit,
        }
    return observation
