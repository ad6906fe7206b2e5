"""Filters, joins and ids: what of a record the model sees, and what of its answer is stored.

    record ─ input filter ─▶ model ─▶ answer ─ joined with the record ─ output filter ─ id ─▶ output

A row of CSV is a list of texts; joined, the answer's columns come after the record's. A JSON
object gets the answer as its member `SageMakerOutput`; what is no object becomes
`{"SageMakerInput": …, "SageMakerOutput": …}`.
"""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Sequence
from typing import Any

from clary.errors import FormatError
from clary.formats.json_path import JsonPath
from clary.formats.transform_plan import JSON_LINES, TransformPlan, bare_type, record_format
from clary.jobs.transform.failures import ObjectFailure

INPUT, OUTPUT = "SageMakerInput", "SageMakerOutput"
ID, TIME = "SageMakerInferenceId", "SageMakerInferenceTime"
_ONE_LINE = str.maketrans("\r\n", "  ")


class Processing:
    """What a plan does to records and answers. Thread-safe."""

    def __init__(self, plan: TransformPlan) -> None:
        """Read the plan's filters.

        Raises:
            FormatError: a filter is no JSONPath, or records and filters do not go together.
        """
        self._input = JsonPath.parse(plan.input_filter)
        self._output = JsonPath.parse(plan.output_filter)
        self._join = plan.join
        self._ids_at = plan.ids_at
        self._comes_in = record_format(plan.content_type)
        self._goes_out = record_format(plan.accept or plan.content_type)
        self._lines_in = bare_type(plan.content_type) == JSON_LINES
        self.reads_input = plan.join or not self._input.is_whole
        self.reads_output = plan.join or not self._output.is_whole or plan.ids_at is not None
        if self.reads_input and self._comes_in is None:
            raise FormatError(
                f"records of the content type {plan.content_type!r} cannot be filtered or joined: "
                "use text/csv, application/json or application/jsonlines"
            )
        if self.reads_output and self._goes_out is None:
            raise FormatError(
                f"answers of the content type {plan.accept!r} cannot be filtered, joined or get "
                "ids: let the model answer with text/csv, application/json or "
                "application/jsonlines"
            )

    def records_of(self, record: bytes) -> list[bytes]:
        """The records within an object that is not split: its lines, where it is JSON Lines."""
        if self.reads_input and self._lines_in:
            return [line for line in record.split(b"\n") if line.strip()]
        return [record]

    def seen_by_model(self, record: bytes) -> tuple[bytes, Any]:
        """What the model gets of a record, and the record as it is joined later.

        Raises:
            ObjectFailure: the record cannot be read, or lacks what the filter asks for.
        """
        if not self.reads_input:
            return record, None
        source = self._decoded(record)
        if self._input.is_whole:
            return record, source
        try:
            chosen = self._input.apply(source)
        except FormatError as error:
            raise ObjectFailure("ClientError", f"InputFilter: {error}") from error
        return self._encoded(chosen, self._comes_in), source

    def stored(self, sources: Sequence[Any], answer: bytes) -> bytes:
        """What is stored of an answer.

        Args:
            sources: the records that were asked about, as `seen_by_model` gave them.
            answer: the model's.

        Raises:
            ObjectFailure: the answer cannot be read, does not have a part for each record, or
                lacks what the filter asks for.
        """
        if not self.reads_output:
            return answer
        answers = self._answers(answer, len(sources))
        if self._join:
            if len(answers) != len(sources):
                raise ObjectFailure(
                    "ClientError",
                    f"the model has answered {len(sources)} records with {len(answers)}, so that "
                    "they cannot be joined: let it give one line for each record, or set "
                    "BatchStrategy to SingleRecord",
                )
            answers = [self._joined(*pair) for pair in zip(sources, answers, strict=True)]
        try:
            chosen = [self._output.apply(one) for one in answers]
        except FormatError as error:
            raise ObjectFailure("ClientError", f"OutputFilter: {error}") from error
        if self._ids_at is not None:
            chosen = [self._with_id(one) for one in chosen]
        return b"\n".join(self._encoded(one, self._goes_out) for one in chosen)

    def _decoded(self, record: bytes) -> Any:
        try:
            if self._comes_in == "csv":
                return _one_row(record)
            return json.loads(record)
        except (ValueError, csv.Error) as error:
            raise ObjectFailure(
                "ClientError", f"a record cannot be read as {str(self._comes_in).upper()}: {error}"
            ) from error

    def _answers(self, answer: bytes, records: int) -> list[Any]:
        """What was answered to each record."""
        try:
            if self._goes_out == "csv":
                return _rows(answer)
            if records == 1:
                return [json.loads(answer)]
            return [json.loads(line) for line in answer.split(b"\n") if line.strip()]
        except (ValueError, csv.Error) as error:
            raise ObjectFailure(
                "ClientError",
                "Failed to parse output from the algorithm as "
                f"{str(self._goes_out).upper()}: {error}",
            ) from error

    def _joined(self, source: Any, answer: Any) -> Any:
        if self._goes_out == "csv":
            return [*source, *answer]
        if isinstance(source, dict):
            return {**source, OUTPUT: answer}
        return {INPUT: source, OUTPUT: answer}

    def _with_id(self, value: Any) -> Any:
        identity = str(uuid.uuid4())
        if self._goes_out == "csv":
            return [*(value if isinstance(value, list) else [value]), identity, self._ids_at]
        members = value if isinstance(value, dict) else {OUTPUT: value}
        return {**members, ID: identity, TIME: self._ids_at}

    def _encoded(self, value: Any, form: str | None) -> bytes:
        if form == "csv":
            row = value if isinstance(value, list) else [value]
            text = io.StringIO()
            csv.writer(text, lineterminator="").writerow(
                str(cell).translate(_ONE_LINE) for cell in row
            )
            return text.getvalue().encode()
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(
            "utf-8", "surrogatepass"
        )


def _rows(text: bytes) -> list[list[str]]:
    """Rows of CSV, one a line: SageMaker's records have no line feeds in them.

    Nothing but a line feed ends a line; what else Unicode counts as such is content.
    """
    lines = [line.removesuffix(b"\r") for line in text.split(b"\n") if line.strip()]
    return [row for line in lines for row in csv.reader([line.decode("utf-8")], strict=True)]


def _one_row(record: bytes) -> list[str]:
    rows = _rows(record)
    if len(rows) != 1:
        raise ValueError(f"it has {len(rows)} rows where one is expected: set SplitType to Line")
    return rows[0]
