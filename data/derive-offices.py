#!/usr/bin/env python3
"""Writes offices/offices.csv and offices/office_serves.csv from units/.

An office id is issued once and is data from then on: ids already in offices.csv are read first and
kept for the unit that office_serves.csv gives them, never computed again. A unit without an office
gets a new id. An office whose unit is gone stays in the file. Telephone numbers are made up.

    python3 derive-offices.py            write the files
    python3 derive-offices.py --check    only say whether they are as they would be written
"""

import base64
import csv
import hashlib
import io
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SINCE = "2025-07-01"
# Units whose residence matters are done by the province's unit. That there are two is known from
# the press, which two is made up: small island zones.
WITHOUT_POLICE = {"20333", "31105"}
HOURS = "08:00-12:00;13:00-17:00"
OFFICE_HEADER = [
    "office_id", "name", "kind", "province_code", "phone", "opening_hours", "fallback_phone",
    "phone_source", "valid_from", "valid_to",
]
SERVES_HEADER = ["office_id", "level", "unit_code", "valid_from", "valid_to"]
TITLE = "Cảnh sát quản lý hành chính về trật tự xã hội"


def rows(path):
    with open(HERE / path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def current(path):
    return [row for row in rows(path) if not row["valid_to"]]


def in_sentence(name):
    """'Phường Ba Đình' inside a sentence: 'phường Ba Đình'."""
    return name[0].lower() + name[1:]


def issued():
    """The ids in use, by what the office stands for; and every id ever issued."""
    if not (HERE / "offices/offices.csv").exists():
        return {}, set()
    kinds = {row["office_id"]: row["kind"] for row in rows("offices/offices.csv")}
    own_level = {"commune_police": "commune", "province_unit": "province", "ministry_unit": "nation"}
    ids = {}
    for row in rows("offices/office_serves.csv"):
        if not row["valid_to"] and own_level[kinds[row["office_id"]]] == row["level"]:
            ids[row["level"], row["unit_code"]] = row["office_id"]
    return ids, set(kinds)


def new_id(level, code, used):
    for attempt in range(100):
        seed = f"{level} {code} {SINCE} {attempt}".encode()
        office = "vp" + base64.b32encode(hashlib.sha256(seed).digest()).decode().lower()[:6]
        if office not in used:
            used.add(office)
            return office
    sys.exit(f"no free id for {level} {code}")


def derive():
    ids, used = issued()
    kept = {row["office_id"]: row for row in rows("offices/offices.csv")} if used else {}
    kept_serves = rows("offices/office_serves.csv") if used else []
    offices, serves = [], []

    def id_of(level, code):
        return ids.get((level, code)) or new_id(level, code, used)

    def office(level, code, name, kind, province, phone, fallback):
        office_id = id_of(level, code)
        since = kept[office_id]["valid_from"] if office_id in kept else SINCE
        offices.append([office_id, name, kind, province, phone, HOURS, fallback, "made_up", since, ""])
        serves.append([office_id, level, code, since, ""])
        return office_id

    ministry = "0000 990 000"
    office("nation", "VN", f"Cục {TITLE}", "ministry_unit", "", ministry, "")
    province_units = {}
    for row in current("units/provinces.csv"):
        code = row["code"]
        phone = f"0000 900 0{code}"
        name = f"Phòng {TITLE} Công an {in_sentence(row['name'])}"
        province_units[code] = (office("province", code, name, "province_unit", code, phone, ministry), phone)
    for row in current("units/communes.csv"):
        code, province = row["code"], row["province_code"]
        above, above_phone = province_units[province]
        if code in WITHOUT_POLICE:
            serves.append([above, "commune", code, SINCE, ""])
        else:
            phone = f"0000 0{code[:2]} {code[2:]}"
            office("commune", code, f"Công an {in_sentence(row['name'])}", "commune_police", province, phone, above_phone)

    # What is in the files and no longer derived is history, and stays.
    written = {row[0] for row in offices}
    offices += [[row[c] for c in OFFICE_HEADER] for i, row in kept.items() if i not in written]
    open_rows = {(row[0], row[1], row[2]) for row in serves}
    serves += [
        [row[c] for c in SERVES_HEADER]
        for row in kept_serves
        if (row["office_id"], row["level"], row["unit_code"]) not in open_rows or row["valid_to"]
    ]
    level_order = ["commune", "province", "nation"]
    offices.sort(key=lambda row: row[0])
    serves.sort(key=lambda row: (level_order.index(row[1]), row[2], row[3]))
    return {"offices/offices.csv": text(OFFICE_HEADER, offices), "offices/office_serves.csv": text(SERVES_HEADER, serves)}


def text(header, body):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *body])
    return out.getvalue()


def main():
    files = derive()
    if sys.argv[1:] == ["--check"]:
        stale = [path for path, body in files.items() if (HERE / path).read_text(encoding="utf-8") != body]
        sys.exit(f"not as derived: {', '.join(stale)}" if stale else 0)
    if sys.argv[1:]:
        sys.exit(__doc__)
    (HERE / "offices").mkdir(exist_ok=True)
    for path, body in files.items():
        (HERE / path).write_text(body, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
