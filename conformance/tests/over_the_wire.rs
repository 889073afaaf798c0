//! Every case that does not move the clock holds over the wire, against the built `imds`.

use std::io::Write as _;
use std::path::Path;

use conformance::{OverTheWire, Suite};

#[test]
fn every_case_holds_over_the_wire() {
    let stage = OverTheWire::find().unwrap();
    let suite = Suite::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let report = suite.play(&stage);
    // Past the harness, which shows what tests print only where they fail.
    writeln!(std::io::stderr(), "{report}").unwrap();
    assert!(report.faults().is_empty(), "{}", report.faults().join("\n"));
}
