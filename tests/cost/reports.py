"""Cost and Usage Reports in the format that AWS delivers, a few of their many columns."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

LEGACY = (
    "identity/LineItemId",
    "bill/BillingEntity",
    "bill/BillingPeriodStartDate",
    "bill/BillingPeriodEndDate",
    "lineItem/LineItemType",
    "lineItem/ProductCode",
    "lineItem/UsageType",
    "lineItem/Operation",
    "lineItem/ResourceId",
    "lineItem/UsageAmount",
    "lineItem/CurrencyCode",
    "lineItem/UnblendedRate",
    "lineItem/UnblendedCost",
    "lineItem/LineItemDescription",
    "product/instanceType",
    "product/region",
    "pricing/unit",
    "resourceTags/user:Name",
)
CUR2 = (
    "identity_line_item_id",
    "bill_billing_entity",
    "bill_billing_period_start_date",
    "bill_billing_period_end_date",
    "line_item_line_item_type",
    "line_item_product_code",
    "line_item_usage_type",
    "line_item_operation",
    "line_item_resource_id",
    "line_item_usage_amount",
    "line_item_currency_code",
    "line_item_unblended_rate",
    "line_item_unblended_cost",
    "line_item_line_item_description",
    "product_instance_type",
    "product_region_code",
    "pricing_unit",
    "resource_tags",
)
START, END = "2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z"

Row = Mapping[str, str]


def row(usage_type: str, amount: str, cost: str, *, kind: str = "Usage", region: str = "us-west-2", **more: str) -> Row:
    """Return a line of a report by the names of the newer version."""
    return {
        "identity_line_item_id": "x",
        "bill_billing_entity": "AWS",
        "bill_billing_period_start_date": START,
        "bill_billing_period_end_date": END,
        "line_item_line_item_type": kind,
        "line_item_product_code": "AmazonEC2",
        "line_item_usage_type": usage_type,
        "line_item_usage_amount": amount,
        "line_item_currency_code": "USD",
        "line_item_unblended_cost": cost,
        "line_item_line_item_description": 'a text, with "quotes" and\na line break',
        "product_region_code": region,
        **more,
    }


def write_report(path: Path, rows: Iterable[Row], *, head: tuple[str, ...] = LEGACY) -> Path:
    """Write a report, gzipped where the name ends in .gz; `head` (or its end) decides the version."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(head)
    for item in rows:
        writer.writerow([item.get(name, "") for name in CUR2[-len(head) :]])
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
