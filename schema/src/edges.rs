//! The edge collections of the core model, with their typed rows.
//!
//! The name of a collection is `from_to`. Every edge also takes `report`, `source`, `active`,
//! `timestamp`, `properties` and custom fields; the framework fills the first four.

use crate::Collection;

edge! {
    /// Links an asset to a vulnerability.
    AssetVulnerability = "asset_vulnerability": "asset" by ExternalId -> "vulnerability" by ExternalId
    {
        /// Port through which the vulnerability can be reached.
        port: Object;
        /// Risk that the link adds.
        risk_score: Number;
    }
}

edge! {
    /// Links an asset to a IP address.
    AssetIpaddress = "asset_ipaddress": "asset" by ExternalId -> "ipaddress" by Key
    {}
}

edge! {
    /// Links an asset to a hardware address.
    AssetMacaddress = "asset_macaddress": "asset" by ExternalId -> "macaddress" by Key
    {}
}

edge! {
    /// Links an asset to a host name.
    AssetHostname = "asset_hostname": "asset" by ExternalId -> "hostname" by Key
    {}
}

edge! {
    /// Links an asset to an account.
    AssetAccount = "asset_account": "asset" by ExternalId -> "account" by ExternalId
    {}
}

edge! {
    /// Links an asset to a container.
    AssetContainer = "asset_container": "asset" by ExternalId -> "container" by ExternalId
    {}
}

edge! {
    /// Links an asset to an application.
    AssetApplication = "asset_application": "asset" by ExternalId -> "application" by ExternalId
    {}
}

edge! {
    /// Links an asset to a database.
    AssetDatabase = "asset_database": "asset" by ExternalId -> "database" by ExternalId
    {}
}

edge! {
    /// Links an asset to a geolocation.
    AssetGeolocation = "asset_geolocation": "asset" by ExternalId -> "geolocation" by ExternalId
    {}
}

edge! {
    /// Links an application to a port.
    ApplicationPort = "application_port": "application" by ExternalId -> "port" by ExternalId
    {}
}

edge! {
    /// Links an account to an application.
    AccountApplication = "account_application": "account" by ExternalId -> "application" by ExternalId
    {
        /// User that the account has in the application.
        user_id: Text;
        /// When it was last used, in milliseconds since 1970.
        last_access_time: Number;
    }
}

edge! {
    /// Links an application to a IP address.
    ApplicationIpaddress = "application_ipaddress": "application" by ExternalId -> "ipaddress" by Key
    {
        /// How the address was mapped to the application.
        mappingtype: Text;
    }
}

edge! {
    /// Links a business process to an application.
    BusinessprocessApplication = "businessprocess_application": "businessprocess" by ExternalId -> "application" by ExternalId
    {}
}

edge! {
    /// Links a business process to an account.
    BusinessprocessAccount = "businessprocess_account": "businessprocess" by ExternalId -> "account" by ExternalId
    {}
}

edge! {
    /// Links an application to a database.
    ApplicationDatabase = "application_database": "application" by ExternalId -> "database" by ExternalId
    {}
}

edge! {
    /// Links an application to a vulnerability.
    ApplicationVulnerability = "application_vulnerability": "application" by ExternalId -> "vulnerability" by ExternalId
    {}
}

edge! {
    /// Links a database to a IP address.
    DatabaseIpaddress = "database_ipaddress": "database" by ExternalId -> "ipaddress" by Key
    {}
}

edge! {
    /// Links a database to a vulnerability.
    DatabaseVulnerability = "database_vulnerability": "database" by ExternalId -> "vulnerability" by ExternalId
    {
        /// Version that was assessed.
        version_level: Text;
        /// Patch level that was assessed.
        patch_level: Text;
        /// Version in full.
        full_version_info: Text;
        /// Result of the assessment.
        result_text: Text;
        /// What to do about it.
        recommendation: Text;
        /// Severity, in the words of the source.
        severity: Text;
        /// Category of the finding.
        category: Text;
        /// What was assessed.
        assessment_description: Text;
        /// Details of the result.
        result_details: Text;
    }
}

edge! {
    /// Links a IP address to a container.
    IpaddressContainer = "ipaddress_container": "ipaddress" by Key -> "container" by ExternalId
    {}
}

edge! {
    /// Links a IP address to a hardware address.
    IpaddressMacaddress = "ipaddress_macaddress": "ipaddress" by Key -> "macaddress" by Key
    {}
}

edge! {
    /// Links a IP address to a host name.
    IpaddressHostname = "ipaddress_hostname": "ipaddress" by Key -> "hostname" by Key
    {}
}

edge! {
    /// Links a IP address to a vulnerability.
    IpaddressVulnerability = "ipaddress_vulnerability": "ipaddress" by Key -> "vulnerability" by ExternalId
    {}
}

edge! {
    /// Links a IP address to a geolocation.
    IpaddressGeolocation = "ipaddress_geolocation": "ipaddress" by Key -> "geolocation" by ExternalId
    {}
}

edge! {
    /// Links a IP address to a port.
    IpaddressPort = "ipaddress_port": "ipaddress" by Key -> "port" by ExternalId
    {}
}

edge! {
    /// Links an user to an account.
    UserAccount = "user_account": "user" by ExternalId -> "account" by ExternalId
    {
        /// When it was last used, in milliseconds since 1970.
        last_access_time: Number;
    }
}

edge! {
    /// Links an account to a database.
    AccountDatabase = "account_database": "account" by ExternalId -> "database" by ExternalId
    {}
}

edge! {
    /// Links an account to a host name.
    AccountHostname = "account_hostname": "account" by ExternalId -> "hostname" by ExternalId
    {}
}

edge! {
    /// Links an account to a IP address.
    AccountIpaddress = "account_ipaddress": "account" by ExternalId -> "ipaddress" by Key
    {
        /// Risk score of all activity.
        total_risk_score: Number;
        /// Score of threat analytics.
        threat_analytics_score: Number;
        /// Score of policy violations.
        violations_score: Number;
        /// Score of vulnerabilities.
        vulnerability_score: Number;
        /// Score of access to sensitive objects.
        sensitive_objects_score: Number;
        /// Score of reading queries.
        select_queries_score: Number;
        /// Score of queries that change structures.
        ddl_queries_score: Number;
        /// Score of queries that change data.
        dml_queries_score: Number;
        /// Score of administrative queries.
        administrative_queries_score: Number;
        /// Score of activity of high volume.
        high_volume_activity_score: Number;
        /// Score of activity outside working hours.
        off_work_activity_score: Number;
        /// State of the group, in the words of the source.
        group_state_description: Text;
    }
}

edge! {
    /// Links a port to a vulnerability.
    PortVulnerability = "port_vulnerability": "port" by ExternalId -> "vulnerability" by ExternalId
    {}
}

/// Describes every core edge collection.
pub(crate) fn all() -> Vec<Collection> {
    vec![
        AssetVulnerability::describe(),
        AssetIpaddress::describe(),
        AssetMacaddress::describe(),
        AssetHostname::describe(),
        AssetAccount::describe(),
        AssetContainer::describe(),
        AssetApplication::describe(),
        AssetDatabase::describe(),
        AssetGeolocation::describe(),
        ApplicationPort::describe(),
        AccountApplication::describe(),
        ApplicationIpaddress::describe(),
        BusinessprocessApplication::describe(),
        BusinessprocessAccount::describe(),
        ApplicationDatabase::describe(),
        ApplicationVulnerability::describe(),
        DatabaseIpaddress::describe(),
        DatabaseVulnerability::describe(),
        IpaddressContainer::describe(),
        IpaddressMacaddress::describe(),
        IpaddressHostname::describe(),
        IpaddressVulnerability::describe(),
        IpaddressGeolocation::describe(),
        IpaddressPort::describe(),
        UserAccount::describe(),
        AccountDatabase::describe(),
        AccountHostname::describe(),
        AccountIpaddress::describe(),
        PortVulnerability::describe(),
    ]
}
