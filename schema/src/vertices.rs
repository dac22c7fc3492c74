//! The vertex collections of the core model, with their typed rows.
//!
//! Times are numbers of milliseconds since 1970 in UTC. Every vertex also takes `tag`, `untag`,
//! `source`, `properties` and custom fields.

use crate::Collection;

/// An IPv4 or IPv6 address as text.
const IP_PATTERN: &str = r"^[a-fA-F0-9:\.]+$";

/// A host name: anything but characters that have a meaning in addresses and queries.
const HOST_PATTERN: &str = r"^[^&#^|?<>\[\]]+$";

/// A hardware address of six to eight bytes in pairs, or of four groups of four digits.
///
/// The back-reference wants the same separator throughout.
const MAC_PATTERN: &str = r"^(?:[0-9A-Fa-f]{2}(:))(?:[0-9A-Fa-f]{2}\1){4,6}(?:[0-9A-Fa-f]{2,4}){0,1}|(?:[0-9A-Fa-f]{4}(:)){3}(?:[0-9A-Fa-f]{4})$";

vertex! {
    /// A device, virtual machine or other thing that can be at risk.
    Asset = "asset" by ExternalId (external_id: "Name that the source gave it.", indexed);
    required {
        /// Name as people know it.
        name: Text, indexed;
    }
    optional {
        /// Worth to the business, from 1 to 10.
        business_value: Number;
        /// Risk of the asset, from 0 to 10.
        risk: Number, minimum = 0.0, maximum = 10.0, error_message = "risk must be between 0 and 10";
        /// What it is, in a sentence.
        description: Text;
        /// Kind of asset, in the words of the source.
        asset_type: Text;
    }
}

vertex! {
    /// A running container.
    Container = "container" by ExternalId (external_id: "Name that the source gave it.");
    required {
        /// Name as people know it.
        name: Text;
    }
    optional {
        /// Image that the container was started from.
        image: Text;
    }
}

vertex! {
    /// An IP address; its key is the address.
    Ipaddress = "ipaddress" by Key (key: "The address, as text.");
    required {}
    optional {
        /// Name as people know it.
        name: Text, indexed, pattern = IP_PATTERN, min_length = 1, max_length = 254;
        /// Network region that the address belongs to; equal addresses of two regions are two things.
        region_id: Text;
        /// Name that the source gave it.
        external_id: Text;
    }
}

vertex! {
    /// A network in which IP addresses are unique.
    Ipregion = "ipregion" by ExternalId (external_id: "Name that the source gave it.");
    required {
        /// Identifier of the region.
        id: Text;
    }
    optional {
        /// Identity of the same region in other sources.
        connecting_id: Text;
        /// Name as people know it.
        name: Text;
    }
}

vertex! {
    /// A person or a technical user.
    User = "user" by ExternalId (external_id: "Name that the source gave it.");
    required {}
    optional {
        /// Name that the user signs in with.
        username: Text;
        /// Full name.
        fullname: Text;
        /// Job title.
        job_title: Text;
        /// E-mail address.
        email: Text, indexed;
        /// What it is, in a sentence.
        description: Text;
        /// Role of the user.
        role: Text;
        /// Family name.
        family_name: Text;
        /// Given name.
        given_name: Text;
        /// User principal name.
        upn: Text;
        /// Category of the user, in the words of the source.
        user_category: Text;
        /// Form of address.
        title: Text;
        /// Number of the employee.
        employee_id: Text;
        /// Whether it is in use.
        active: Boolean;
        /// Department.
        department: Text;
        /// When it last changed, in milliseconds since 1970.
        modified: Number;
        /// Risk score over all time.
        cumulative_score: Number;
        /// Risk score now.
        current_score: Number;
        /// Number of critical findings.
        critical: Number;
        /// Number of findings of high severity.
        high: Number;
        /// Number of findings of medium severity.
        medium: Number;
        /// Number of findings of low severity.
        low: Number;
        /// When the first finding was seen, in milliseconds since 1970.
        first_occurrence: Number;
        /// When the last finding was seen, in milliseconds since 1970.
        last_occurrence: Number;
        /// Name as people know it.
        name: Text;
    }
}

vertex! {
    /// An account of a user in a system.
    Account = "account" by ExternalId (external_id: "Name that the source gave it.", indexed);
    required {
        /// Name as people know it.
        name: Text, indexed;
    }
    optional {
        /// When it came to be, in milliseconds since 1970.
        created: Number;
        /// Whether it is in use.
        active: Boolean;
        /// Whether the account complies with policy.
        compliance_status: Boolean;
        /// When it last changed, in milliseconds since 1970.
        modified: Number;
        /// Risk score over all time.
        cumulative_score: Number;
        /// Risk score now.
        current_score: Number;
        /// Number of critical findings.
        critical: Number;
        /// Number of findings of high severity.
        high: Number;
        /// Number of findings of medium severity.
        medium: Number;
        /// Number of findings of low severity.
        low: Number;
        /// When the first finding was seen, in milliseconds since 1970.
        first_occurrence: Number;
        /// When the last finding was seen, in milliseconds since 1970.
        last_occurrence: Number;
    }
}

vertex! {
    /// A program or an operating system.
    Application = "application" by ExternalId (external_id: "Name that the source gave it.");
    required {
        /// Name as people know it.
        name: Text;
    }
    optional {
        /// What it is, in a sentence.
        description: Text;
        /// Name in the Common Platform Enumeration.
        cpe: Text;
        /// Whether it is an operating system.
        is_os: Boolean;
        /// Who owns it.
        owner: Text;
        /// Code of the owner.
        owner_code: Text;
        /// When it was last used, in milliseconds since 1970.
        last_access_time: Number;
        /// Threat score.
        threat_score: Number;
        /// Kind of application.
        app_type: Text;
        /// Risk score over all time.
        cumulative_score: Number;
        /// Risk score now.
        current_score: Number;
        /// Number of critical findings.
        critical: Number;
        /// Number of findings of high severity.
        high: Number;
        /// Number of findings of medium severity.
        medium: Number;
        /// Number of findings of low severity.
        low: Number;
        /// When the first finding was seen, in milliseconds since 1970.
        first_occurrence: Number;
        /// When the last finding was seen, in milliseconds since 1970.
        last_occurrence: Number;
        /// State, in the words of the source.
        status: Text;
    }
}

vertex! {
    /// A DNS name; its key is the name.
    Hostname = "hostname" by Key (key: "The name.");
    required {
        /// The name.
        host_name: Text, indexed;
    }
    optional {
        /// Name that the source gave it.
        external_id: Text, indexed, pattern = HOST_PATTERN;
    }
}

vertex! {
    /// A process of the business that depends on applications and accounts.
    Businessprocess = "businessprocess" by ExternalId (external_id: "Name that the source gave it.");
    required {
        /// Name as people know it.
        name: Text;
    }
    optional {
        /// What it is, in a sentence.
        description: Text;
    }
}

vertex! {
    /// A database.
    Database = "database" by ExternalId (external_id: "Name that the source gave it.");
    required {
        /// Name as people know it.
        name: Text;
    }
    optional {
        /// What it is, in a sentence.
        description: Text;
        /// Kind, in the words of the source.
        r#type: Text;
        /// When it last changed, in milliseconds since 1970.
        modified: Number;
        /// Protocol spoken.
        protocol: Text;
        /// Port spoken on.
        port: Text;
        /// Name of the data source in the monitoring product.
        datasource_name: Text;
        /// Whether traffic was seen.
        traffic_seen: Boolean;
        /// When it was last seen, in milliseconds since 1970.
        last_seen_at: Number;
        /// State of the monitoring agent.
        agent_status: Text;
        /// When the state was taken, in milliseconds since 1970.
        status_date: Number;
    }
}

vertex! {
    /// A hardware address; its key is the address.
    Macaddress = "macaddress" by Key (key: "The address, as text: `01:23:45:67:89:ab`.");
    required {}
    optional {
        /// Name that the source gave it.
        external_id: Text, indexed;
        /// Name as people know it.
        name: Text, pattern = MAC_PATTERN;
        /// Network interface that has the address.
        interface: Text;
    }
}

vertex! {
    /// A network port on which something listens.
    Port = "port" by ExternalId (external_id: "Name that the source gave it.");
    required {
        /// Number of the port.
        port_number: Integer;
        /// Protocol spoken.
        protocol: Text;
    }
    optional {
        /// State, in the words of the source.
        status: Text;
        /// What it is, in a sentence.
        description: Text;
        /// Name as people know it.
        name: Text;
    }
}

vertex! {
    /// A weakness, such as a CVE.
    Vulnerability = "vulnerability" by ExternalId (external_id: "Name that the source gave it.");
    required {
        /// Name as people know it.
        name: Text;
    }
    optional {
        /// References to other catalogues, by name.
        xref_properties: Object;
        /// Further properties, as text.
        external_properties: Text;
        /// Address of a description elsewhere.
        external_reference: Text;
        /// Severity from 0 to 10.
        base_score: Number;
        /// What it is, in a sentence.
        description: Text;
        /// When it was disclosed, in milliseconds since 1970.
        disclosed_on: Number;
        /// When it was published, in milliseconds since 1970.
        published_on: Number;
        /// When it was last updated, in milliseconds since 1970.
        updated_on: Number;
        /// X-Force Red: opportunity.
        xfr_opportune: Number;
        /// X-Force Red: opportunity, estimated.
        xfr_ml_opportune: Number;
        /// X-Force Red: use to an attacker.
        xfr_utility: Number;
        /// X-Force Red: use to an attacker, estimated.
        xfr_ml_utility: Number;
        /// X-Force Red: weaponised exploit.
        xfr_wx: Number;
        /// X-Force Red: CVSS 2 base score.
        xfr_cvss2_base: Number;
        /// X-Force Red: CVSS 3 base score.
        xfr_cvss3_base: Number;
        /// X-Force Red: threat score.
        xfr_threat_score: Number;
    }
}

vertex! {
    /// A place: a region, or coordinates.
    Geolocation = "geolocation" by ExternalId (external_id: "Name that the source gave it.");
    required {}
    optional {
        /// Name of the region.
        region: Text;
        /// Degrees east.
        longitude: Number;
        /// Degrees north.
        latitude: Number;
        /// What it is, in a sentence.
        description: Text;
        /// Name as people know it.
        name: Text;
    }
    one_of &[&["longitude", "latitude"], &["region"]];
}

/// Describes every core vertex collection.
pub(crate) fn all() -> Vec<Collection> {
    vec![
        Asset::describe(),
        Container::describe(),
        Ipaddress::describe(),
        Ipregion::describe(),
        User::describe(),
        Account::describe(),
        Application::describe(),
        Hostname::describe(),
        Businessprocess::describe(),
        Database::describe(),
        Macaddress::describe(),
        Port::describe(),
        Vulnerability::describe(),
        Geolocation::describe(),
    ]
}
