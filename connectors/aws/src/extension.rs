//! What the connector adds to the model: findings that are no vulnerabilities, and what AWS says
//! about assets, databases and containers.

use std::collections::BTreeMap;

use car_schema::{
    EdgeExtension, Extension, ExtensionSchema, PropertyExtension, PropertyType, VertexExtension,
};

/// The vertex collection of findings.
pub(crate) const FINDING: &str = "finding";

/// The vertex collection of AWS accounts.
pub(crate) const CLOUD_ACCOUNT: &str = "cloudaccount";

const ASSET: &[(&str, PropertyType, &str)] = &[
    (
        "account_number",
        PropertyType::Text,
        "Number of the AWS account.",
    ),
    ("region", PropertyType::Text, "AWS region."),
    ("state", PropertyType::Text, "State, in the words of AWS."),
    (
        "instance_type",
        PropertyType::Text,
        "Size of the machine, in the words of AWS.",
    ),
    (
        "platform",
        PropertyType::Text,
        "Operating system as AWS bills it, version of Kubernetes, or runtime of a function.",
    ),
    (
        "vpc_id",
        PropertyType::Text,
        "Virtual network that it is in.",
    ),
    (
        "environment_id",
        PropertyType::Text,
        "Environment of Elastic Beanstalk that it is part of.",
    ),
    (
        "launched",
        PropertyType::Timestamp,
        "When it was last started.",
    ),
    (
        "exposed",
        PropertyType::Boolean,
        "Whether it has a public address with a port that a security group opens to everybody.",
    ),
];

const FINDING_FIELDS: &[(&str, PropertyType, &str)] = &[
    ("description", PropertyType::Text, "What was found."),
    (
        "severity",
        PropertyType::Text,
        "Severity in a word, from INFORMATIONAL to CRITICAL.",
    ),
    ("score", PropertyType::Numeric, "Severity from 0 to 100."),
    (
        "category",
        PropertyType::Text,
        "Kind of finding, in the words of AWS.",
    ),
    ("product", PropertyType::Text, "Product that found it."),
    (
        "compliance",
        PropertyType::Text,
        "Result of the check, where it is one.",
    ),
    ("remediation", PropertyType::Text, "What to do about it."),
    (
        "found_on",
        PropertyType::Timestamp,
        "When it was first seen.",
    ),
    (
        "updated_on",
        PropertyType::Timestamp,
        "When it last changed.",
    ),
];

const DATABASE: &[(&str, PropertyType, &str)] = &[
    (
        "engine_version",
        PropertyType::Text,
        "Version of the database engine.",
    ),
    (
        "pending_update",
        PropertyType::Text,
        "`active` while a new name waits for the maintenance window.",
    ),
    (
        "publicly_accessible",
        PropertyType::Boolean,
        "Whether its name leads to a public address.",
    ),
];

const CONTAINER: &[(&str, PropertyType, &str)] = &[
    ("task_id", PropertyType::Text, "ARN of its task."),
    ("cluster_id", PropertyType::Text, "ARN of its cluster."),
    (
        "launch_type",
        PropertyType::Text,
        "Where it runs: EC2, FARGATE or EXTERNAL.",
    ),
    ("image_digest", PropertyType::Text, "Digest of the image."),
];

const HOSTNAME: &[(&str, PropertyType, &str)] = &[(
    "region_id",
    PropertyType::Text,
    "Network that the name has a meaning in; none for public names.",
)];

const PORT: &[(&str, PropertyType, &str)] = &[(
    "last_port_number",
    PropertyType::Integer,
    "Last port of the range that begins with `port_number`.",
)];

const EDGES: [(&str, &str); 4] = [
    ("asset", FINDING),
    ("account", FINDING),
    (CLOUD_ACCOUNT, "account"),
    ("application", "container"),
];

/// Describes the extension. A change of it needs a higher version.
pub(crate) fn extension() -> Extension {
    let name = PropertyExtension {
        required: true,
        indexed: true,
        ..PropertyExtension::new(PropertyType::Text, "Name as people know it.")
    };
    let mut finding = vertex(FINDING, FINDING_FIELDS);
    finding.properties.insert("name".to_owned(), name.clone());
    let mut account = vertex(CLOUD_ACCOUNT, &[]);
    account.properties.insert("name".to_owned(), name);
    Extension {
        key: "0d6a1f6e-7c0b-4f5a-9a43-3e4f7d2b8a95".to_owned(),
        owner: env!("CARGO_PKG_NAME").to_owned(),
        version: "2".to_owned(),
        schema: ExtensionSchema {
            vertices: vec![
                finding,
                account,
                vertex("asset", ASSET),
                vertex("database", DATABASE),
                vertex("container", CONTAINER),
                vertex("hostname", HOSTNAME),
                vertex("port", PORT),
            ],
            edges: EDGES
                .map(|(end1, end2)| EdgeExtension {
                    end1: end1.to_owned(),
                    end2: end2.to_owned(),
                    properties: BTreeMap::new(),
                    validation: None,
                })
                .into(),
        },
    }
}

fn vertex(name: &str, fields: &[(&str, PropertyType, &str)]) -> VertexExtension {
    VertexExtension {
        name: name.to_owned(),
        properties: fields
            .iter()
            .map(|(field, ty, description)| {
                (
                    (*field).to_owned(),
                    PropertyExtension::new(*ty, *description),
                )
            })
            .collect(),
        validation: None,
    }
}
