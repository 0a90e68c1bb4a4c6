"""Print what edfio reads from the EDF and BDF files named as arguments, one JSON object a line."""

import json
import sys

import edfio


def main():
    for path in sys.argv[1:]:
        read = edfio.read_bdf if path.endswith(".bdf") else edfio.read_edf
        f = read(path)
        print(
            json.dumps(
                {
                    "path": path,
                    "records": f.num_data_records,
                    "seconds": f.data_record_duration,
                    "labels": [s.label for s in f.signals],
                    "units": [s.physical_dimension for s in f.signals],
                    "rates": [float(s.sampling_frequency) for s in f.signals],
                    "data": [[repr(float(v)) for v in s.data] for s in f.signals],
                    "annotations": [
                        [float(a.onset), float(a.duration or 0), a.text]
                        for a in f.annotations
                    ],
                }
            )
        )


if __name__ == "__main__":
    main()
