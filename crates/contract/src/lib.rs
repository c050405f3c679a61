//! Avro contracts: decode, verdict, reasons, compatibility and lint.
