//! Every case holds in process, where the clock obeys.

use std::io::Write as _;
use std::path::Path;

use conformance::{InProcess, Suite};

#[test]
fn every_case_holds_in_process() {
    let suite = Suite::load(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let report = suite.play(&InProcess::default());
    // Past the harness, which shows what tests print only where they fail.
    writeln!(std::io::stderr(), "{report}").unwrap();
    assert!(report.faults().is_empty(), "{}", report.faults().join("\n"));
}
