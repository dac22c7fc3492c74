//! The calls that the connector makes, by the names that policies know them by.
//!
//! One table: the client names its calls from here, errors name what is missing from here, and a
//! test compares it with the policy in the README.

/// A call that a policy has to allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action(pub(crate) &'static str);

impl Action {
    /// Returns the name in policies: `ec2:DescribeInstances`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

macro_rules! actions {
    ($($(#[$gate:meta])* $name:ident = $action:literal;)*) => {
        $($(#[$gate])* pub(crate) const $name: Action = Action($action);)*

        /// Returns every call that this build makes.
        #[must_use]
        pub fn actions() -> Vec<Action> {
            vec![$($(#[$gate])* $name,)*]
        }
    };
}

actions! {
    GET_CALLER_IDENTITY = "sts:GetCallerIdentity";
    LOOKUP_EVENTS = "cloudtrail:LookupEvents";
    ASSUME_ROLE = "sts:AssumeRole";
    #[cfg(feature = "organizations")]
    LIST_ACCOUNTS = "organizations:ListAccounts";
    #[cfg(feature = "ec2")]
    DESCRIBE_REGIONS = "ec2:DescribeRegions";
    #[cfg(feature = "ec2")]
    DESCRIBE_INSTANCES = "ec2:DescribeInstances";
    #[cfg(feature = "ec2")]
    DESCRIBE_IMAGES = "ec2:DescribeImages";
    #[cfg(feature = "ec2")]
    DESCRIBE_SECURITY_GROUPS = "ec2:DescribeSecurityGroups";
    #[cfg(feature = "ec2")]
    DESCRIBE_NETWORK_INTERFACES = "ec2:DescribeNetworkInterfaces";
    #[cfg(feature = "rds")]
    DESCRIBE_DB_INSTANCES = "rds:DescribeDBInstances";
    #[cfg(feature = "rds")]
    DESCRIBE_DB_CLUSTERS = "rds:DescribeDBClusters";
    #[cfg(feature = "ecs")]
    LIST_CLUSTERS = "ecs:ListClusters";
    #[cfg(feature = "ecs")]
    LIST_TASKS = "ecs:ListTasks";
    #[cfg(feature = "ecs")]
    DESCRIBE_TASKS = "ecs:DescribeTasks";
    #[cfg(feature = "ecs")]
    DESCRIBE_CONTAINER_INSTANCES = "ecs:DescribeContainerInstances";
    #[cfg(feature = "eks")]
    LIST_EKS_CLUSTERS = "eks:ListClusters";
    #[cfg(feature = "eks")]
    DESCRIBE_EKS_CLUSTER = "eks:DescribeCluster";
    #[cfg(feature = "eks")]
    LIST_NODEGROUPS = "eks:ListNodegroups";
    #[cfg(feature = "eks")]
    DESCRIBE_NODEGROUP = "eks:DescribeNodegroup";
    #[cfg(feature = "lambda")]
    LIST_FUNCTIONS = "lambda:ListFunctions";
    #[cfg(feature = "elb")]
    DESCRIBE_LOAD_BALANCERS = "elasticloadbalancing:DescribeLoadBalancers";
    #[cfg(feature = "beanstalk")]
    DESCRIBE_APPLICATIONS = "elasticbeanstalk:DescribeApplications";
    #[cfg(feature = "beanstalk")]
    DESCRIBE_ENVIRONMENTS = "elasticbeanstalk:DescribeEnvironments";
    #[cfg(feature = "securityhub")]
    GET_FINDINGS = "securityhub:GetFindings";
    #[cfg(feature = "inspector")]
    LIST_FINDINGS = "inspector2:ListFindings";
    #[cfg(feature = "iam")]
    GET_ACCOUNT_AUTHORIZATION_DETAILS = "iam:GetAccountAuthorizationDetails";
}
