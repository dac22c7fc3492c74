//! Database instances and Aurora clusters.

use aws_sdk_rds::types::{DbCluster, DbInstance};
use car_core::record::Records;
use car_schema::edges::{
    AccountDatabase, AssetApplication, AssetDatabase, AssetHostname, UserAccount,
};
use car_schema::vertices::{Account, Application, Database, Hostname, User};

use super::Place;

/// What an instance and a cluster have in common.
struct Server<'a> {
    arn: &'a str,
    name: &'a str,
    kind: &'static str,
    status: Option<&'a str>,
    engine: Option<&'a str>,
    hosts: Vec<&'a str>,
}

/// A database with the user who owns it.
struct Kept<'a> {
    id: &'a str,
    name: &'a str,
    engine: Option<&'a str>,
    version: Option<&'a str>,
    port: Option<i32>,
    owner: Option<&'a str>,
    is_public: Option<bool>,
    waits_for_name: bool,
}

/// Tells whether an instance or cluster stays: going takes one minutes, and nobody tells its end.
pub(crate) fn is_there(status: Option<&str>) -> bool {
    status != Some("deleting")
}

/// Emits an instance, with its database unless a cluster has it.
pub(crate) fn instance(place: Place<'_>, instance: &DbInstance, out: &mut Records) {
    let (Some(arn), Some(name)) = (
        instance.db_instance_arn(),
        instance.db_instance_identifier(),
    ) else {
        out.reject(
            "asset",
            instance.db_instance_arn(),
            "the database instance has no ARN or no name",
            format!("{:?}", instance.db_instance_identifier()),
        );
        return;
    };
    if !is_there(instance.db_instance_status()) {
        return;
    }
    let endpoint = instance.endpoint();
    server(
        place,
        &Server {
            arn,
            name,
            kind: "RDS instance",
            status: instance.db_instance_status(),
            engine: instance.engine(),
            // One that is being made has none yet.
            hosts: endpoint.and_then(|end| end.address()).into_iter().collect(),
        },
        out,
    );
    let (Some(id), None) = (instance.dbi_resource_id(), instance.db_cluster_identifier()) else {
        return;
    };
    let pending = instance.pending_modified_values();
    database(
        arn,
        &Kept {
            id,
            name,
            engine: instance.engine(),
            version: instance.engine_version(),
            port: endpoint.and_then(|end| end.port()),
            owner: instance.master_username(),
            is_public: instance.publicly_accessible(),
            waits_for_name: pending.is_some_and(|it| it.db_instance_identifier().is_some()),
        },
        out,
    );
}

/// Emits a cluster with its database, and that its members serve it.
pub(crate) fn cluster(place: Place<'_>, cluster: &DbCluster, out: &mut Records) {
    let (Some(arn), Some(name)) = (cluster.db_cluster_arn(), cluster.db_cluster_identifier())
    else {
        out.reject(
            "asset",
            cluster.db_cluster_arn(),
            "the database cluster has no ARN or no name",
            format!("{:?}", cluster.db_cluster_identifier()),
        );
        return;
    };
    if !is_there(cluster.status()) {
        return;
    }
    let ends = [cluster.endpoint(), cluster.reader_endpoint()];
    let custom = cluster.custom_endpoints().iter().map(String::as_str);
    server(
        place,
        &Server {
            arn,
            name,
            kind: "RDS cluster",
            status: cluster.status(),
            engine: cluster.engine(),
            hosts: ends.into_iter().flatten().chain(custom).collect(),
        },
        out,
    );
    let Some(id) = cluster.db_cluster_resource_id() else {
        return;
    };
    let pending = cluster.pending_modified_values();
    database(
        arn,
        &Kept {
            id,
            name,
            engine: cluster.engine(),
            version: cluster.engine_version(),
            port: cluster.port(),
            owner: cluster.master_username(),
            is_public: cluster.publicly_accessible(),
            waits_for_name: pending.is_some_and(|it| it.db_cluster_identifier().is_some()),
        },
        out,
    );
    for member in cluster.db_cluster_members() {
        if let Some(name) = member.db_instance_identifier() {
            let instance = place.arn("rds", &format!("db:{name}"));
            out.emit(&AssetDatabase::new(instance, id));
        }
    }
}

fn server(place: Place<'_>, server: &Server<'_>, out: &mut Records) {
    let mut asset = place.asset(server.arn, server.name, server.kind);
    if let Some(status) = server.status {
        asset = asset.with("state", status);
    }
    out.emit(&asset);
    place.locate(server.arn, out);
    for host in server.hosts.iter().filter(|host| !host.is_empty()) {
        out.emit(&Hostname::new(*host, *host));
        out.emit(&AssetHostname::new(server.arn, *host));
    }
    if let Some(engine) = server.engine {
        out.emit(&Application {
            app_type: Some("database engine".to_owned()),
            ..Application::new(engine, engine)
        });
        out.emit(&AssetApplication::new(server.arn, engine));
    }
}

fn database(asset: &str, kept: &Kept<'_>, out: &mut Records) {
    let pending = if kept.waits_for_name {
        "active"
    } else {
        "inactive"
    };
    let mut database = Database {
        r#type: kept.engine.map(str::to_owned),
        port: kept.port.map(|port| port.to_string()),
        ..Database::new(kept.id, kept.name)
    }
    .with("pending_update", pending);
    if let Some(version) = kept.version {
        database = database.with("engine_version", version);
    }
    if let Some(is_public) = kept.is_public {
        database = database.with("publicly_accessible", is_public);
    }
    out.emit(&database);
    out.emit(&AssetDatabase::new(asset, kept.id));
    if let Some(owner) = kept.owner {
        // `admin` of one database is not `admin` of another.
        let id = format!("{}/{owner}", kept.id);
        out.emit(&Account::new(id.as_str(), owner));
        out.emit(&User {
            username: Some(owner.to_owned()),
            name: Some(owner.to_owned()),
            role: Some("TECHNICAL OWNER".to_owned()),
            ..User::new(id.as_str())
        });
        out.emit(&AccountDatabase::new(id.as_str(), kept.id));
        out.emit(&UserAccount::new(id.as_str(), id.as_str()));
    }
}
