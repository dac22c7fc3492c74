//! Series of changes, with imports that end too early among them: in the end the graph is what a
//! full import of the present files makes.

use car_core::report::Mode;
use car_testkit::{At, Deed, HttpProxy, TestFolder, cases, seed};

use crate::support::Pair;

/// Numbers that are the same for the same seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        // The generator of Numerical Recipes; its high bits are good enough here.
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Changes some files: few names, assets and addresses, so that files overlap.
fn change(files: &TestFolder, numbers: &mut Numbers) {
    for _ in 0..=numbers.below(2) {
        let path = files.file(&format!("{}.jsonl", numbers.below(5)));
        if numbers.below(4) == 0 {
            // It may not be there.
            drop(std::fs::remove_file(path));
            continue;
        }
        let mut text = String::new();
        for _ in 0..=numbers.below(4) {
            let (asset, address) = (numbers.below(6), numbers.below(4));
            text.push_str(&format!(
                "{{\"collection\": \"asset\", \"external_id\": \"{asset}\", \"name\": \"{asset}\"}}\n\
                 {{\"collection\": \"ipaddress\", \"_key\": \"10.0.0.{address}\"}}\n\
                 {{\"collection\": \"asset_ipaddress\", \"from\": \"{asset}\", \"to\": \"10.0.0.{address}\"}}\n"
            ));
        }
        std::fs::write(path, text).unwrap();
    }
    // Empty sources are held.
    files.write(
        "always.jsonl",
        "{\"collection\": \"asset\", \"external_id\": \"always\", \"name\": \"n\"}\n",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deltas_end_as_a_full_import_whatever_came_between() {
    let first = seed();
    for seed in first..first + u64::from(cases(2)) {
        let pair = Pair::start().await;
        let proxy = HttpProxy::start(pair.service.address()).await;
        let broken = pair
            .connector()
            .env(
                "CAR_SERVICE_URL",
                pair.service
                    .url()
                    .replace(&pair.service.address(), proxy.address()),
            )
            .args(&["--car-retry-for", "1ms"]);
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        change(&pair.files, &mut numbers);
        pair.import().await;
        for round in 0..4 {
            change(&pair.files, &mut numbers);
            // An import that reaches the service no more in its middle, and may have sent a part.
            proxy.clear();
            let nth = 4 + u32::try_from(numbers.below(12)).unwrap();
            proxy.on(At::From(nth), Deed::Reset);
            drop(broken.run().await);
            change(&pair.files, &mut numbers);
            let ended = pair.import().await;
            let what = format!("seed {seed}, round {round}, stopped at request {nth}");
            let full = pair.connector().into_service(&pair.service.url(), "whole");
            let full = full.args(&["--full", "--approve-deletions"]);
            let full = full.env("CONFIGURATION_PARAMETER_MEMORY", "none");
            drop(full.run().await.with_code(0));
            let whole = pair.service.graph("whole").await;
            pair.graph().await.assert_is(&whole, &what);
            assert!(ended.report().mode.is_some(), "{what}");
        }
        let unchanged = pair.import().await;
        assert_eq!(unchanged.report().mode, Some(Mode::Incremental));
        assert_eq!(unchanged.report().totals().sent, 0);
    }
}
