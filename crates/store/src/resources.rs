//! What accounts have in regions besides instances.

use std::sync::Arc;

use model::{
    AmiId, Idempotency, Image, Instance, InstanceId, LaunchTemplate, LaunchTemplateId,
    LaunchTemplateVersion, Line, MetadataDefaults, RegisteredKeyPair, RegisteredSecurityGroup,
    Resource, ResourceKey, ResourceKind, ResourceTags, Scope, SecurityGroupId, Subnet, SubnetId,
    Vpc, VpcId,
};
use rpds::RedBlackTreeMapSync;

use crate::Snapshot;

/// Resources, by scope and kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resources(RedBlackTreeMapSync<(Scope, ResourceKind), OfAKind>);

type OfAKind = RedBlackTreeMapSync<ResourceKey, Arc<Resource>>;

impl Resources {
    pub(crate) fn put(&mut self, scope: Scope, resource: Arc<Resource>) {
        let key = resource.key();
        let place = (scope, key.kind());
        let mut all = self.0.get(&place).cloned().unwrap_or_default();
        all.insert_mut(key, resource);
        self.0.insert_mut(place, all);
    }

    pub(crate) fn delete(&mut self, scope: Scope, key: &ResourceKey) {
        let place = (scope, key.kind());
        if let Some(mut all) = self.0.get(&place).cloned() {
            all.remove_mut(key);
            if all.is_empty() {
                self.0.remove_mut(&place);
            } else {
                self.0.insert_mut(place, all);
            }
        }
    }

    fn find(&self, scope: &Scope, key: &ResourceKey) -> Option<&Resource> {
        self.0.get(&(scope.clone(), key.kind()))?.get(key).map(|resource| &**resource)
    }

    fn all(&self, scope: &Scope, kind: ResourceKind) -> impl Iterator<Item = &Resource> {
        let all = self.0.get(&(scope.clone(), kind));
        all.into_iter().flat_map(|all| all.values()).map(|resource| &**resource)
    }
}

macro_rules! finders {
    ($(
        $(#[$one_doc:meta])* $one:ident,
        $(#[$all_doc:meta])* $all:ident:
        $kind:ident($key:ty) -> $type:ty;
    )+) => {
        impl Snapshot {
            $(
                $(#[$one_doc])*
                pub fn $one(&self, scope: &Scope, key: $key) -> Option<&$type> {
                    let found = self.resources.find(scope, &ResourceKey::$kind(key))?;
                    let Resource::$kind(found) = found else { return None };
                    Some(found)
                }

                $(#[$all_doc])*
                pub fn $all(&self, scope: &Scope) -> impl Iterator<Item = &$type> {
                    self.resources.all(scope, ResourceKind::$kind).filter_map(|resource| {
                        let Resource::$kind(found) = resource else { return None };
                        Some(found)
                    })
                }
            )+
        }
    };
}

finders! {
    /// Finds an image.
    image,
    /// Returns the images that are kept, by id.
    images: Image(AmiId) -> Image;
    /// Finds a key pair.
    key_pair,
    /// Returns the key pairs that are kept, by name.
    key_pairs: KeyPair(Line) -> RegisteredKeyPair;
    /// Finds a launch template.
    launch_template,
    /// Returns the launch templates, by id.
    launch_templates: LaunchTemplate(LaunchTemplateId) -> LaunchTemplate;
    /// Finds a security group.
    security_group,
    /// Returns the security groups that are kept, by id.
    security_groups: SecurityGroup(SecurityGroupId) -> RegisteredSecurityGroup;
    /// Finds a subnet.
    subnet,
    /// Returns the subnets that are kept, by id.
    subnets: Subnet(SubnetId) -> Subnet;
    /// Finds the tags of something that is no instance.
    resource_tags,
    /// Returns all such tags, by id.
    all_resource_tags: Tags(Line) -> ResourceTags;
    /// Finds an instance that is gone.
    terminated_instance,
    /// Returns the instances that are gone, by id.
    terminated_instances: TerminatedInstance(InstanceId) -> Box<Instance>;
    /// Finds a VPC.
    vpc,
    /// Returns the VPCs that are kept, by id.
    vpcs: Vpc(VpcId) -> Vpc;
}

impl Snapshot {
    /// Finds what a client token stands for.
    pub fn idempotency(
        &self,
        scope: &Scope,
        action: Line,
        client_token: Line,
    ) -> Option<&Idempotency> {
        let found = self.resources.find(scope, &ResourceKey::Idempotency(action, client_token))?;
        let Resource::Idempotency(found) = found else { return None };
        Some(found)
    }

    /// Finds a version of a launch template.
    pub fn launch_template_version(
        &self,
        scope: &Scope,
        id: LaunchTemplateId,
        version: u32,
    ) -> Option<&LaunchTemplateVersion> {
        let key = ResourceKey::LaunchTemplateVersion(id, version);
        let Resource::LaunchTemplateVersion(found) = self.resources.find(scope, &key)? else {
            return None;
        };
        Some(found)
    }

    /// Returns the versions of all launch templates, by template and number.
    pub fn launch_template_versions(
        &self,
        scope: &Scope,
    ) -> impl Iterator<Item = &LaunchTemplateVersion> {
        let all = self.resources.all(scope, ResourceKind::LaunchTemplateVersion);
        all.filter_map(|resource| {
            let Resource::LaunchTemplateVersion(found) = resource else { return None };
            Some(found)
        })
    }

    /// Returns the defaults of metadata options; none are set where none are kept.
    pub fn metadata_defaults(&self, scope: &Scope) -> MetadataDefaults {
        match self.resources.find(scope, &ResourceKey::MetadataDefaults) {
            Some(Resource::MetadataDefaults(found)) => *found,
            _ => MetadataDefaults::default(),
        }
    }

    /// Returns whether a scope has a resource.
    pub fn has_resource(&self, scope: &Scope, key: &ResourceKey) -> bool {
        self.resources.find(scope, key).is_some()
    }

    /// Returns how many resources of a kind a scope has, or all scopes have. It counts kinds, and not
    /// resources.
    pub fn resource_count(&self, scope: Option<&Scope>, kind: ResourceKind) -> usize {
        let places = self.resources.0.iter();
        let meant = places
            .filter(|((place, of), _)| *of == kind && scope.is_none_or(|scope| place == scope));
        meant.map(|(_, all)| all.size()).sum()
    }

    /// Returns the scopes that have resources, each once.
    pub fn scopes_with_resources(&self) -> impl Iterator<Item = &Scope> {
        let mut before = None;
        self.resources.0.keys().filter_map(move |(scope, _)| {
            let is_next = before.replace(scope) != Some(scope);
            is_next.then_some(scope)
        })
    }

    /// Returns the resources of these kinds, whatever scope they are in.
    pub fn resources_of(
        &self,
        kinds: &[ResourceKind],
    ) -> impl Iterator<Item = (&Scope, &Arc<Resource>)> {
        let places = self.resources.0.iter().filter(|((_, kind), _)| kinds.contains(kind));
        places.flat_map(|((scope, _), all)| all.values().map(move |resource| (scope, resource)))
    }
}
